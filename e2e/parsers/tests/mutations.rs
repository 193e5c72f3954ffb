//! The targets on the corpus, and on changed copies of it.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use parsers::{ALL, Target};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

/// Changed inputs for each target. All targets together take a few seconds.
const CASES: u32 = 4000;

/// One change of an input: at a place, remove some bytes and put others.
type Change = (Index, usize, Vec<u8>);

fn corpus(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target.name);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    let read = |file: PathBuf| {
        let bytes = std::fs::read(&file).expect("a readable file");
        (file, bytes)
    };
    files.into_iter().map(read).collect()
}

fn changed(input: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut input = input.to_vec();
    for (place, removed, put) in changes {
        let start = place.index(input.len() + 1);
        let end = (start + removed).min(input.len());
        input.splice(start..end, put.iter().copied());
    }
    input
}

/// Bytes that parsers treat in special ways, and any others.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..6),
        "[-+0-9.eE:,{}\\[\\]\"]{1,6}".prop_map(String::into_bytes),
        prop_oneof![
            Just("null"),
            Just("-1"),
            Just("18446744073709551616"),
            Just("\\u0000"),
            Just("1e999"),
            Just("\n")
        ]
        .prop_map(|text| text.as_bytes().to_vec()),
    ]
}

#[test]
fn no_parser_panics_on_the_corpus_or_on_changed_copies_of_it() {
    for target in ALL {
        let corpus = corpus(&target);
        for (file, input) in &corpus {
            eprintln!("{}", file.display());
            (target.run)(input);
        }
        let inputs: Vec<Vec<u8>> = corpus.into_iter().map(|(_, input)| input).collect();
        let cases = (any::<Index>(), vec((any::<Index>(), 0..8_usize, piece()), 1..4));
        let config = Config {
            cases: CASES,
            failure_persistence: None,
            ..Config::default()
        };
        let outcome = TestRunner::new(config).run(&cases, |(which, changes)| {
            let input: &Vec<u8> = which.get(&inputs);
            (target.run)(&changed(input, &changes));
            Ok(())
        });
        if let Err(error) = outcome {
            panic!("{}: {error}", target.name);
        }
    }
}
