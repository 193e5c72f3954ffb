//! Which PodNetworking a pod gets, and what it is told of those that it does not get.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn networking(name: &str, selector: serde_json::Value, fixed: bool, state: Option<&str>) -> PodNetworking {
    let kind = if fixed { "Fixed" } else { "Elastic" };
    let mut value = json!({
        "metadata": {"name": name},
        "spec": {"selector": selector, "allocationType": {"type": kind}},
    });
    if let Some(state) = state {
        value["status"] = json!({"status": state, "message": "vsw-1 is gone"});
    }
    serde_json::from_value(value).unwrap()
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn web() -> serde_json::Value {
    json!({"podSelector": {"matchLabels": {"app": "web"}}})
}

#[test]
fn both_selectors_must_hold_and_none_selects_nothing() {
    let namespace = json!({"namespaceSelector": {"matchLabels": {"team": "a"}}});
    let both = json!({
        "podSelector": {"matchLabels": {"app": "web"}},
        "namespaceSelector": {"matchLabels": {"team": "a"}},
    });
    let (app, team) = (labels(&[("app", "web")]), labels(&[("team", "a")]));
    let none = Labels::new();
    for (selector, pod, space, expected) in [
        (web(), &app, &none, true),
        (web(), &none, &team, false),
        (namespace.clone(), &none, &team, true),
        (namespace, &app, &none, false),
        (both.clone(), &app, &team, true),
        (both.clone(), &app, &none, false),
        (both, &none, &team, false),
        (json!({}), &app, &team, false),
        // An empty selector that is there selects everything.
        (json!({"podSelector": {}}), &none, &none, true),
    ] {
        let networking = networking("n", selector.clone(), false, None);
        assert_eq!(
            selects(&networking, pod, space).unwrap(),
            expected,
            "{selector}: {pod:?} in {space:?}"
        );
    }
}

#[test]
fn the_first_by_name_that_can_serve_is_taken_and_those_before_it_say_why_not() {
    let bad = json!({"podSelector": {"matchExpressions": [{"key": "app", "operator": "Like"}]}});
    let all = [
        networking("z-ready", web(), false, Some("Ready")),
        networking("f-ready", web(), false, Some("Ready")),
        networking(
            "e-other",
            json!({"podSelector": {"matchLabels": {"app": "db"}}}),
            false,
            None,
        ),
        networking("d-failed", web(), false, Some("Fail")),
        networking("c-new", web(), false, None),
        networking("b-fixed", web(), true, Some("Ready")),
        networking("a-bad", bad, false, Some("Ready")),
    ];
    let app = labels(&[("app", "web")]);
    let selection = select(&all, &app, &Labels::new(), false);
    assert_eq!(
        selection.networking.map(|found| found.name_any()).as_deref(),
        Some("f-ready")
    );
    let told: Vec<String> = selection.passed_over.iter().map(ToString::to_string).collect();
    for (sentence, words) in told.iter().zip([
        ["a-bad", "cannot be read"],
        ["b-fixed", "use a StatefulSet"],
        ["c-new", "not Ready yet"],
        ["d-failed", "vsw-1 is gone"],
    ]) {
        assert!(
            words.iter().all(|word| sentence.contains(word)),
            "{words:?}: {sentence}"
        );
    }
    assert_eq!(told.len(), 4, "{told:?}");
    // A pod whose name is kept gets the Fixed one.
    let kept = select(&all, &app, &Labels::new(), true);
    assert_eq!(
        kept.networking.map(|found| found.name_any()).as_deref(),
        Some("b-fixed")
    );
}

proptest! {
    /// The order in which PodNetworkings are known does not matter.
    #[test]
    fn the_choice_does_not_depend_on_their_order(states in proptest::collection::vec(0..4u8, 0..6), turn in 0..6usize) {
        let mut all: Vec<PodNetworking> = states
            .iter()
            .enumerate()
            .map(|(number, state)| {
                let state = ["Ready", "Fail", "", "Ready"][usize::from(*state)];
                networking(&format!("n{number}"), web(), number % 3 == 2, Some(state).filter(|state| !state.is_empty()))
            })
            .collect();
        let app = labels(&[("app", "web")]);
        let choice = |all: &[PodNetworking]| {
            let selection = select(all, &app, &Labels::new(), false);
            (selection.networking.map(|found| found.name_any()), selection.passed_over)
        };
        let before = choice(&all);
        if !all.is_empty() {
            let places = turn % all.len();
            all.rotate_left(places);
        }
        prop_assert_eq!(choice(&all), before);
    }
}
