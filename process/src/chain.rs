//! One line for an error and its causes.

use std::error::Error;

/// The text of `error`, followed by the texts of its causes, each after `": "`.
///
/// A cause is left out when the error directly above the cause already says the same words: a transparent error is
/// its cause's text, and kube's errors repeat the answer of the API server.
#[must_use]
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut above = error.to_string();
    let mut text = above.clone();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !above.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        above = words;
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[derive(Debug)]
    struct Link(&'static str, Option<Box<Link>>);

    impl fmt::Display for Link {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Link {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|link| link as &(dyn Error + 'static))
        }
    }

    fn text(words: &[&'static str]) -> String {
        let link = words
            .iter()
            .rev()
            .fold(None, |cause, words| Some(Box::new(Link(words, cause))));
        error_chain(&*link.expect("at least one error"))
    }

    #[test]
    fn every_cause_is_said_once() {
        for (words, expected) in [
            (&["attach eni-1"][..], "attach eni-1"),
            (
                &["attach eni-1", "no answer", "timed out"],
                "attach eni-1: no answer: timed out",
            ),
            // A transparent error.
            (&["no answer", "no answer", "timed out"], "no answer: timed out"),
            // An error that repeats its cause in the middle of its own words.
            (
                &["list pods", "api: forbidden (403)", "forbidden"],
                "list pods: api: forbidden (403)",
            ),
            // Words of an error further above do not hide a cause.
            (
                &["timed out twice", "no answer", "timed out"],
                "timed out twice: no answer: timed out",
            ),
        ] {
            assert_eq!(text(words), expected);
        }
    }
}
