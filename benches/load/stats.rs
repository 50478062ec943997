//! Figures from samples, and their text.

use std::fmt;
use std::time::Duration;

/// The median of the rounds, the least and the most.
#[derive(Clone, Copy)]
pub struct Spread {
    pub min: f64,
    pub median: f64,
    pub max: f64,
}

impl Spread {
    /// Needs at least one value.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (middle, last) = (values.len() / 2, values.len() - 1);
        Self {
            min: values[0],
            median: f64::midpoint(values[middle], values[last - middle]),
            max: values[last],
        }
    }

    /// The text, with `figure` to format each value.
    pub fn show(&self, figure: fn(f64) -> String) -> String {
        let median = figure(self.median);
        if self.min < self.max {
            format!("{median} ({} to {})", figure(self.min), figure(self.max))
        } else {
            median
        }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.show(digits))
    }
}

/// The ratio of the same figure of two contestants. Both figures of a round meet the same noise of the machine, so each
/// round gives a ratio of its own.
pub fn ratio<T>(of: &[T], to: &[T], figure: impl Fn(&T) -> f64) -> Option<Spread> {
    let ratios = of.iter().zip(to);
    let ratios = ratios.map(|(of, to)| figure(of) / figure(to));
    (!of.is_empty() && !to.is_empty()).then(|| Spread::of(ratios))
}

pub const PERCENTILES: [&str; 4] = ["p50", "p99", "p99.9", "maximum"];

/// A duration in µs at each of the `PERCENTILES`.
pub type Distribution = [f64; 4];

/// Needs at least one sample.
pub fn distribution(samples: &mut [Duration]) -> Distribution {
    samples.sort_unstable();
    let last = samples.len() - 1;
    [500, 990, 999, 1000].map(|per_thousand| micros(samples[last * per_thousand / 1000]))
}

/// The spread of one percentile over the rounds.
pub fn percentile(rounds: &[Distribution], place: usize) -> Spread {
    Spread::of(rounds.iter().map(|round| round[place]))
}

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

/// Three digits.
pub fn digits(value: f64) -> String {
    match value.abs() {
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// A count with its digits in threes.
pub fn thousands(count: usize) -> String {
    let mut text = count.to_string();
    for place in (1..text.len()).rev().skip(2).step_by(3) {
        text.insert(place, ',');
    }
    text
}
