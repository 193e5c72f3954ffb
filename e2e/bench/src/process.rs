//! CPU time and memory of a process, from /proc.

use anyhow::{Context, anyhow};

/// Clock ticks a second in /proc/PID/stat: USER_HZ, 100 on x86-64 and arm64 (include/asm-generic/param.h).
const TICKS: f64 = 100.0;

/// CPU time of a process so far, user and system, in seconds.
pub fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    parse_cpu(&text).ok_or_else(|| anyhow!("{path} has no CPU times"))
}

/// Largest resident size of a process so far, in MB (10^6 bytes).
pub fn peak_mb(pid: u32) -> anyhow::Result<f64> {
    status_mb(pid, "VmHWM:")
}

/// Resident size of a process, in MB (10^6 bytes).
pub fn resident_mb(pid: u32) -> anyhow::Result<f64> {
    status_mb(pid, "VmRSS:")
}

fn status_mb(pid: u32, name: &str) -> anyhow::Result<f64> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kib.ok_or_else(|| anyhow!("{path} has no {name}"))? * 1024.0 / 1e6)
}

/// The fields after the program's name. The name may contain spaces and brackets; the fields do not.
fn parse_cpu(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_times_are_found_behind_an_odd_name() {
        let stat = "42 (a) b) S 1 1 1 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 5 0 100 0 0";
        assert_eq!(parse_cpu(stat), Some(3.0));
        assert_eq!(parse_cpu("42 (x) S 1"), None);
    }

    #[test]
    fn our_own_figures_can_be_read() {
        assert!(cpu_seconds(std::process::id()).unwrap() >= 0.0);
        let (now, peak) = (
            resident_mb(std::process::id()).unwrap(),
            peak_mb(std::process::id()).unwrap(),
        );
        assert!(now > 1.0 && peak >= now, "{now} {peak}");
    }
}
