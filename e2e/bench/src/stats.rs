//! Percentiles, and figures of several runs.

use std::time::Duration;

/// The value below which a share (0 to 1) of the sorted values lies; zero without values.
pub fn percentile(sorted: &[Duration], share: f64) -> Duration {
    let Some(last) = sorted.len().checked_sub(1) else {
        return Duration::ZERO;
    };
    sorted[((last as f64) * share).round() as usize]
}

/// One figure of several runs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// The figure of each run.
    pub fn new(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Samples(values)
    }

    /// Takes one figure from each run.
    pub fn of<T>(runs: &[T], figure: impl Fn(&T) -> f64) -> Self {
        Self::new(runs.iter().map(figure).collect())
    }

    /// The median, or the upper one of two; zero without runs.
    pub fn median(&self) -> f64 {
        self.0.get(self.0.len() / 2).copied().unwrap_or_default()
    }

    /// Smallest and largest, where there is more than one run.
    pub fn spread(&self) -> Option<(f64, f64)> {
        match self.0.as_slice() {
            [first, .., last] => Some((*first, *last)),
            _ => None,
        }
    }
}

impl From<f64> for Samples {
    fn from(value: f64) -> Self {
        Samples(vec![value])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_few_and_many() {
        let seconds =
            |range: std::ops::RangeInclusive<u64>| range.map(Duration::from_secs).collect::<Vec<_>>();
        assert_eq!(percentile(&[], 0.5), Duration::ZERO);
        assert_eq!(percentile(&seconds(7..=7), 0.99), Duration::from_secs(7));
        assert_eq!(percentile(&seconds(1..=101), 0.5), Duration::from_secs(51));
        assert_eq!(percentile(&seconds(1..=101), 0.99), Duration::from_secs(100));
    }

    #[test]
    fn runs_have_a_median_and_a_spread() {
        let runs = Samples::of(&[3.0, 1.0, 2.0], |value| *value);
        assert_eq!((runs.median(), runs.spread()), (2.0, Some((1.0, 3.0))));
        let one = Samples::from(4.0);
        assert_eq!((one.median(), one.spread()), (4.0, None));
        assert_eq!(Samples::default().median(), 0.0);
    }
}
