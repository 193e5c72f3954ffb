#!/usr/bin/env bash
# Checks the form of prose in every file: the width of lines in *.md and of comments in *.rs (120 characters), and the
# first line of each *.rs file (//!). scripts/check-sizes.sh checks names of files.
set -euo pipefail
cd "$(dirname "$0")/.."

found=$(git ls-files -z --cached --others --exclude-standard -- '*.md' '*.rs' | perl -CSD -0ne '
    chomp;
    next unless -f;
    my ($file, $line, $code, $first) = ($_, 0, 0, 1);
    open my $text, "<:encoding(UTF-8)", $file or die "$file: $!";
    local $/ = "\n";
    while (<$text>) {
        chomp;
        $line++;
        if ($file =~ /\.rs$/) {
            print "$file:1: begins without //!; say what the file is for\n" if $line == 1 && !m{^//!};
            next unless m{^\s*//};
        } else {
            $code = !$code if /^\s*```/;
            next if $code || /^\s*\|/ || /^ {4}/;
        }
        # A link or a path that is longer than a line cannot be broken.
        next if length() <= 120 || /^[\s\/!*-]*\S+$/;
        print "$file:$line: ", length(), " characters; wrap at 120\n";
    }
')
[ -z "$found" ] || { echo "$found" >&2; echo "prose: the lines above; CONTRIBUTING.md has the rules" >&2; exit 1; }
echo "prose: ok"
