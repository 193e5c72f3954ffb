//! Durations as Go writes them: `90s`, `1h30m`, `1.5h`, `0`.
//!
//! kube has a parser too (`kube::core::Duration`). It panics on a duration that is too long for a
//! `std::time::Duration`, and it reads the empty text as zero. Users write these texts into objects that the
//! webhook reads, so this parser returns `None` for both.

use std::time::Duration;

/// The longest duration of Go: an int64 of nanoseconds, about 292 years.
pub const LONGEST: Duration = Duration::from_nanos(i64::MAX as u64);

/// Reads a Go duration (`time.ParseDuration` of Go's package time). Returns `None` for another text and for a negative
/// duration, because no setting of the product may be negative. Go refuses a duration above [`LONGEST`], and so does
/// this function: every duration that it returns can be added to any present time.
pub fn parse(text: &str) -> Option<Duration> {
    let text = text.strip_prefix('+').unwrap_or(text);
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = 0f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let value: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit_end = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        total += value * seconds_of(&rest[..unit_end])?;
        rest = &rest[unit_end..];
    }
    if text.is_empty() {
        return None;
    }
    Duration::try_from_secs_f64(total)
        .ok()
        .filter(|duration| *duration <= LONGEST)
}

fn seconds_of(unit: &str) -> Option<f64> {
    match unit {
        "ns" => Some(1e-9),
        "us" | "µs" | "μs" => Some(1e-6),
        "ms" => Some(1e-3),
        "s" => Some(1.0),
        "m" => Some(60.0),
        "h" => Some(3600.0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_go_reads() {
        assert_eq!(parse("90s"), Some(Duration::from_secs(90)));
        assert_eq!(parse("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(parse("1.5h"), Some(Duration::from_secs(5400)));
        assert_eq!(parse("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse("0"), Some(Duration::ZERO));
        assert_eq!(parse("+5m"), Some(Duration::from_secs(300)));
    }

    #[test]
    fn refuses_what_go_refuses_and_what_is_negative() {
        for text in [
            "",
            "5",
            "m",
            "5x",
            "1h 30m",
            "-5m",
            "..s",
            "5m3",
            "100000000000000000000h",
            // The first whole hour above what Go counts.
            "2562048h",
            "4000000000000000h",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_longest_duration_is_that_of_go() {
        let almost = parse("2562047h47m16s").unwrap();
        assert!(almost <= LONGEST && LONGEST - almost < Duration::from_secs(1));
    }

    proptest! {
        /// What is written with whole units is read to the nanosecond that Go counts in.
        #[test]
        fn reads_the_sum_of_its_parts(hours in 0..100u64, minutes in 0..100u64, seconds in 0..100u64, millis in 0..1_000u64) {
            let text = format!("{hours}h{minutes}m{seconds}s{millis}ms");
            let expected = Duration::from_secs(hours * 3_600 + minutes * 60 + seconds) + Duration::from_millis(millis);
            let found = parse(&text).unwrap();
            prop_assert!(found.abs_diff(expected) <= Duration::from_nanos(1), "{text}: {found:?}");
        }

        /// Whatever is written, it is read or refused.
        #[test]
        fn any_text_is_read_or_refused(text in "[-+0-9.hmsnuµ ]{0,16}") {
            if let Some(time) = parse(&text) {
                prop_assert!(time <= LONGEST, "{text:?}");
                prop_assert!(text.chars().any(|c| c.is_ascii_digit()), "{text:?} is {time:?}");
            }
        }
    }
}
