//! Figures out of samples.

use std::time::Duration;

/// The middle of a few rounds, and how far they lie apart.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// Of at least one value.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        };
        Self {
            median,
            min: values[0],
            max: values[values.len() - 1],
        }
    }
}

/// How samples of a duration are distributed.
#[derive(Clone, Copy, Debug)]
pub struct Distribution {
    pub p50: Duration,
    pub p99: Duration,
    pub p999: Duration,
    pub max: Duration,
}

impl Distribution {
    /// Of at least one sample.
    pub fn of(samples: &mut [Duration]) -> Self {
        samples.sort_unstable();
        let last = samples.len() - 1;
        let at = |per_thousand: usize| samples[last * per_thousand / 1000];
        Self {
            p50: at(500),
            p99: at(990),
            p999: at(999),
            max: samples[last],
        }
    }
}

/// Microseconds, for people.
pub fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// Requests a second, to three digits.
pub fn rate(value: f64) -> String {
    if value >= 1e6 {
        format!("{:.2} M", value / 1e6)
    } else {
        format!("{:.0} k", value / 1e3)
    }
}
