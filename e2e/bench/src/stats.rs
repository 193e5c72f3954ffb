//! Percentiles.

use std::time::Duration;

/// The value below which this share (0 to 1) of the others lies; zero for none.
pub fn percentile(sorted: &[Duration], share: f64) -> Duration {
    let Some(last) = sorted.len().checked_sub(1) else {
        return Duration::ZERO;
    };
    sorted[((last as f64) * share).round() as usize]
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
}
