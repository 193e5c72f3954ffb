# Sourced by the scripts that build Go programs: puts the Go toolchain on PATH, or says what to do.
# The caller defines fail().
# shellcheck shell=bash

go_minimum=24 # go 1.x that Kubernetes 1.34 and CoreDNS 1.13 ask for

command -v go >/dev/null || PATH=$PATH:/usr/local/go/bin
command -v go >/dev/null || fail "no Go toolchain; install Go 1.$go_minimum or newer (https://go.dev/dl) and put it on PATH"
go_minor=$(go env GOVERSION | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
[ -z "$go_minor" ] || [ "$go_minor" -ge $go_minimum ] || fail "$(go env GOVERSION) is too old; install Go 1.$go_minimum or newer"
