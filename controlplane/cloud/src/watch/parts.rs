//! Asks for a batch of ENIs. Where the cloud refuses the batch because of one id, the others are asked for without it.

use terway_core::cloud::CloudEni;

use crate::error::{CloudError, ErrorClass};

/// The answers for a batch.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// The ids that the cloud answered for. The answer is complete: one without an ENI does not exist.
    pub(super) answered: Vec<String>,
    pub(super) enis: Vec<CloudEni>,
    /// The ids that the cloud refuses to look for, for example because they are no ids of ENIs.
    pub(super) refused: Vec<String>,
}

/// Asks for all ids at once, and for halves of what the cloud refuses.
///
/// # Errors
/// When the cloud does not answer, or refuses for a reason that is not about the ids. Then nothing was learned.
pub(super) async fn ask<F>(
    ids: Vec<String>,
    describe: impl Fn(Vec<String>) -> F,
) -> Result<Answers, CloudError>
where
    F: Future<Output = Result<Vec<CloudEni>, CloudError>>,
{
    let mut answers = Answers::default();
    let mut open = vec![ids];
    while let Some(mut ids) = open.pop() {
        match describe(ids.clone()).await {
            Ok(found) => {
                answers.enis.extend(found);
                answers.answered.append(&mut ids);
            }
            Err(error) if !is_about_ids(&error) => return Err(error),
            Err(_) if ids.len() > 1 => {
                let other = ids.split_off(ids.len() / 2);
                open.extend([ids, other]);
            }
            Err(error) => {
                tracing::warn!(ids = ?ids, error = &error as &dyn std::error::Error, "the cloud refuses to look for an ENI");
                answers.refused.append(&mut ids);
            }
        }
    }
    Ok(answers)
}

fn is_about_ids(error: &CloudError) -> bool {
    !error.was_not_sent() && matches!(error.class, ErrorClass::Invalid | ErrorClass::NotFound)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;

    use super::*;
    use crate::action::Action;

    fn refusal(class: ErrorClass) -> CloudError {
        let mut error = CloudError::local(
            Action::DescribeNetworkInterfaces,
            "ENIs",
            class,
            "InvalidEniId",
            "",
        );
        error.http_status = Some(400);
        error
    }

    fn batch(bad: &[usize], count: usize) -> Vec<String> {
        let name = |number| match bad.contains(&number) {
            true => format!("foo-{number}"),
            false => format!("eni-{number}"),
        };
        (0..count).map(name).collect()
    }

    /// Asks a cloud that refuses each call with a name that is no id. Returns the answers and the number of calls.
    fn play(ids: Vec<String>) -> (Answers, usize) {
        let calls = Cell::new(0);
        let describe = |ids: Vec<String>| {
            calls.set(calls.get() + 1);
            std::future::ready(match ids.iter().any(|id| id.starts_with("foo")) {
                true => Err(refusal(ErrorClass::Invalid)),
                false => Ok(Vec::new()),
            })
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let answers = runtime.block_on(ask(ids, describe)).unwrap();
        (answers, calls.get())
    }

    #[test]
    fn one_object_with_a_name_that_is_no_id_keeps_no_other_eni_unwatched() {
        let (answers, calls) = play(batch(&[17], 100));
        assert_eq!(answers.refused, ["foo-17"]);
        assert_eq!(answers.answered.len(), 99);
        assert!(calls <= 15, "{calls} calls");
    }

    #[tokio::test]
    async fn a_cloud_that_does_not_answer_is_not_asked_for_halves() {
        for class in [ErrorClass::Unknown, ErrorClass::Throttled, ErrorClass::Forbidden] {
            let calls = Cell::new(0);
            let describe = |_: Vec<String>| {
                calls.set(calls.get() + 1);
                std::future::ready(Err(refusal(class)))
            };
            assert!(ask(batch(&[], 100), describe).await.is_err());
            assert_eq!(calls.get(), 1, "{class:?}");
        }
    }

    proptest! {
        /// Each id is answered for or refused, once, whichever are bad.
        #[test]
        fn every_id_is_answered_for_or_refused(bad in proptest::collection::vec(0..40usize, 0..6), count in 1..40usize) {
            let ids = batch(&bad, count);
            let (answers, _) = play(ids.clone());
            prop_assert!(answers.refused.iter().all(|id| id.starts_with("foo")));
            prop_assert!(answers.answered.iter().all(|id| id.starts_with("eni")));
            let mut all: Vec<String> = answers.answered.into_iter().chain(answers.refused).collect();
            all.sort();
            let mut expected = ids;
            expected.sort();
            prop_assert_eq!(all, expected);
        }
    }
}
