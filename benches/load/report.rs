//! The tables and plots.

use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::process::Command;
use std::time::Duration;

use plotters::prelude::*;

use crate::contestant::{Cost, to_f64};
use crate::growth::{Growth, Slowest};
use crate::{Results, Scale};

/// The middle of some figures, and their spread.
fn spread(mut figures: Vec<f64>) -> Option<(f64, f64, f64)> {
    figures.sort_unstable_by(f64::total_cmp);
    let middle = *figures.get(figures.len() / 2)?;
    Some((middle, figures[0], figures[figures.len() - 1]))
}

fn median(figures: Vec<f64>) -> Option<f64> {
    spread(figures).map(|(middle, ..)| middle)
}

fn of(costs: &[Cost], figure: impl Fn(&Cost) -> f64) -> Vec<f64> {
    costs.iter().map(figure).collect()
}

/// The time within which this part of the lone requests was answered, in microseconds, a value a round.
fn quantile(rounds: &[Vec<Duration>], part: f64) -> Vec<f64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index"
    )]
    let at = |took: &Vec<Duration>| ((to_f64(took.len() - 1)) * part) as usize;
    rounds
        .iter()
        .map(|took| took[at(took)].as_secs_f64() * 1e6)
        .collect()
}

pub fn markdown(
    results: &[Results],
    scales: &[Scale],
    growth: &Growth,
    sessions: usize,
    skipped: &[String],
) -> String {
    let mut text = String::new();
    header(&mut text, skipped);
    targets(&mut text, results, scales, growth);
    throughput(&mut text, results, sessions);
    latency(&mut text, results);
    memory(&mut text, scales);
    pauses(&mut text, growth);
    text
}

/// What a command prints on its first line.
fn printed(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.unwrap_or_default()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn header(text: &mut String, skipped: &[String]) {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let names = || {
        cpus.lines()
            .filter_map(|line| line.strip_prefix("model name")?.split_once(": "))
    };
    let name = names().next().map_or("unknown processor", |(_, name)| name);
    line(
        text,
        format_args!(
            "Measured on {} at commit {}: {name}, {} cores, Linux {}, {}.\n",
            printed("date", &["-u", "+%Y-%m-%d"]),
            printed("git", &["rev-parse", "--short", "HEAD"]),
            names().count(),
            printed("uname", &["-r"]),
            printed("rustc", &["--version"]),
        ),
    );
    for who in skipped {
        line(text, format_args!("Skipped: {who}.\n"));
    }
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("memory can be written");
}

fn named<'a>(results: &'a [Results], name: &str) -> Option<&'a Results> {
    results.iter().find(|results| results.name == name)
}

/// The ratio of two contestants' figures, round by round, which the machine's moods touch less than either.
fn ratio(one: Vec<f64>, other: &[f64]) -> Option<f64> {
    median(
        one.into_iter()
            .zip(other)
            .map(|(one, other)| one / other)
            .collect(),
    )
}

fn targets(text: &mut String, results: &[Results], scales: &[Scale], growth: &Growth) {
    let node = &results[0];
    let against = |name: &str, costs: fn(&Results) -> &[Cost]| {
        let peer = named(results, name)?;
        ratio(
            of(costs(node), Cost::per_second),
            &of(costs(peer), Cost::per_second),
        )
    };
    let by_cpu = named(results, "parse floor").and_then(|floor| {
        ratio(
            of(&floor.validate, Cost::cpu_micros),
            &of(&node.validate, Cost::cpu_micros),
        )
    });
    let lone = named(results, "echo floor")
        .and_then(|echo| ratio(quantile(&node.latency, 0.5), &quantile(&echo.latency, 0.5)));
    let size = |sessions| scales.iter().find(|scale| scale.sessions == sessions);
    let growing = size(10_000_000)
        .zip(size(100_000))
        .map(|(large, small)| large.validate.cpu_micros() / small.validate.cpu_micros());
    let million = size(1_000_000);
    let rows: [(&str, &str, Option<f64>); 10] = [
        (
            "validate, requests a second, against the parse floor",
            "at least 0.75",
            against("parse floor", |r| &r.validate),
        ),
        ("the same by CPU time a request", "", by_cpu),
        (
            "… against the course-style Rust node",
            "at least 6",
            against("course-style Rust node", |r| &r.validate),
        ),
        (
            "… against Redis `GET`, pipelines of 256",
            "at least 2",
            against("Redis", |r| &r.validate),
        ),
        (
            "create, against the course-style Rust node",
            "at least 5",
            against("course-style Rust node", |r| &r.create),
        ),
        (
            "one at a time, p50, against the echo floor",
            "at most 1.1",
            lone,
        ),
        (
            "validate at 10 million sessions, CPU a request, against 100,000",
            "at most 1.8",
            growing,
        ),
        (
            "resident bytes a session at 1 million, each with its own user of 12 bytes",
            "at most 160",
            million.map(|s| s.bytes_per_session),
        ),
        (
            "Redis's, for the same sessions",
            "more",
            million.and_then(|s| s.redis_bytes_per_session),
        ),
        (
            "slowest create while growing, ms",
            "at most 1, but for what an idle loop shows",
            growth
                .growing
                .first()
                .map(|(took, _)| took.as_secs_f64() * 1e3),
        ),
    ];
    line(
        text,
        format_args!("| figure | wanted | measured |\n| --- | --- | --- |"),
    );
    for (figure, wanted, measured) in rows {
        let measured = measured.map_or("not measured".into(), |figure| format!("{figure:.2}"));
        line(text, format_args!("| {figure} | {wanted} | {measured} |"));
    }
}

fn throughput(text: &mut String, results: &[Results], sessions: usize) {
    line(
        text,
        format_args!(
            "\n## Throughput\n\nThousands of requests a second at {sessions} sessions, median (least–most) of the rounds; CPU time a request in µs.\n"
        ),
    );
    line(
        text,
        format_args!(
            "| | create | validate | regenerate | destroy | mix | CPU, create | CPU, validate |\n| --- | --- | --- | --- | --- | --- | --- | --- |"
        ),
    );
    let rate = |costs: &[Cost]| match spread(of(costs, |cost| cost.per_second() / 1000.0)) {
        Some((middle, least, most)) => format!("{middle:.0} ({least:.0}–{most:.0})"),
        None => "–".into(),
    };
    let cpu = |costs: &[Cost]| {
        median(of(costs, Cost::cpu_micros)).map_or("–".into(), |micros| format!("{micros:.2}"))
    };
    for r in results.iter().filter(|results| !results.create.is_empty()) {
        line(
            text,
            format_args!(
                "| {} | {} | {} | {} | {} | {} | {} | {} |",
                r.name,
                rate(&r.create),
                rate(&r.validate),
                rate(&r.regenerate),
                rate(&r.destroy),
                rate(&r.mix),
                cpu(&r.create),
                cpu(&r.validate),
            ),
        );
    }
    line(
        text,
        format_args!("\n![Validations a second](throughput.svg)"),
    );
}

fn latency(text: &mut String, results: &[Results]) {
    line(
        text,
        format_args!(
            "\n## Latency\n\nA validation at a time, from the write of the request to the end of the reply, in µs; medians of the rounds.\n"
        ),
    );
    line(
        text,
        format_args!("| | p50 | p99 | p99.9 | maximum |\n| --- | --- | --- | --- | --- |"),
    );
    for results in results {
        let at = |part| median(quantile(&results.latency, part)).unwrap_or_default();
        line(
            text,
            format_args!(
                "| {} | {:.1} | {:.1} | {:.1} | {:.0} |",
                results.name,
                at(0.5),
                at(0.99),
                at(0.999),
                at(1.0)
            ),
        );
    }
    line(text, format_args!("\n![Latency](latency.svg)"));
}

fn memory(text: &mut String, scales: &[Scale]) {
    line(
        text,
        format_args!(
            "\n## Memory and scale\n\nEach session has its own user of 12 bytes, and the index by user is in place.\n"
        ),
    );
    line(
        text,
        format_args!(
            "| sessions | CPU time a validation, µs | resident bytes a session | Redis |\n| --- | --- | --- | --- |"
        ),
    );
    for scale in scales {
        let redis = scale
            .redis_bytes_per_session
            .map_or("–".into(), |bytes| format!("{bytes:.0}"));
        line(
            text,
            format_args!(
                "| {} | {:.2} | {:.0} | {redis} |",
                scale.sessions,
                scale.validate.cpu_micros(),
                scale.bytes_per_session
            ),
        );
    }
}

fn pauses(text: &mut String, growth: &Growth) {
    line(
        text,
        format_args!(
            "\n## Pauses\n\nThe ten slowest calls in µs, and how many calls came before each: creates from nothing on, one at a time; an operation at a time while those sessions, which all ended in the same second, are cleared; and an idle loop that only reads the clock for as long as the creates took.\n"
        ),
    );
    line(
        text,
        format_args!("| creating | clearing | idle loop |\n| --- | --- | --- |"),
    );
    let cell = |slowest: &Slowest, at: usize| {
        slowest.get(at).map_or("–".into(), |(took, calls)| {
            format!("{:.0} at {calls}", took.as_secs_f64() * 1e6)
        })
    };
    for at in 0..growth.growing.len() {
        line(
            text,
            format_args!(
                "| {} | {} | {} |",
                cell(&growth.growing, at),
                cell(&growth.ending, at),
                cell(&growth.idle, at)
            ),
        );
    }
}

/// Puts the tables where the document keeps them, and the plots beside it.
pub fn write(text: &str, results: &[Results]) {
    const BEGIN: &str = "<!-- load: begin -->\n";
    const END: &str = "<!-- load: end -->";
    let path = "docs/benchmarks.md";
    let document = fs::read_to_string(path).expect("the document is there");
    let (before, rest) = document
        .split_once(BEGIN)
        .expect("the document has the first marker");
    let (_, after) = rest
        .split_once(END)
        .expect("the document has the last marker");
    fs::write(path, format!("{before}{BEGIN}\n{text}\n{END}{after}"))
        .expect("the document can be written");
    let validated = |r: &Results| median(of(&r.validate, |cost| cost.per_second() / 1000.0));
    bars(
        "docs/throughput.svg",
        "Validations a second, thousands",
        results,
        validated,
    )
    .expect("a plot");
    let lone = |r: &Results| median(quantile(&r.latency, 0.5));
    bars(
        "docs/latency.svg",
        "One validation at a time, median, µs",
        results,
        lone,
    )
    .expect("a plot");
}

/// A bar a contestant.
fn bars(
    path: &str,
    title: &str,
    results: &[Results],
    figure: impl Fn(&Results) -> Option<f64>,
) -> Result<(), Box<dyn Error>> {
    let bars: Vec<(&str, f64)> = results
        .iter()
        .filter_map(|r| Some((r.name, figure(r)?)))
        .collect();
    let most = bars.iter().map(|bar| bar.1).fold(0.0, f64::max);
    let area =
        SVGBackend::new(path, (760, 60 + 40 * u32::try_from(bars.len())?)).into_drawing_area();
    area.fill(&WHITE)?;
    area.draw(&Text::new(title.to_owned(), (16, 14), ("sans-serif", 18)))?;
    for (at, (name, value)) in bars.iter().enumerate() {
        let top = 50 + 40 * i32::try_from(at)?;
        #[expect(clippy::cast_possible_truncation, reason = "a width in pixels")]
        let end = 200 + (460.0 * value / most) as i32;
        let colour = if at == 0 {
            RGBColor(32, 96, 160)
        } else {
            RGBColor(150, 160, 170)
        };
        area.draw(&Rectangle::new(
            [(200, top), (end, top + 24)],
            colour.filled(),
        ))?;
        area.draw(&Text::new(
            (*name).to_owned(),
            (16, top + 5),
            ("sans-serif", 14),
        ))?;
        area.draw(&Text::new(
            format!("{value:.1}"),
            (end + 8, top + 5),
            ("sans-serif", 14),
        ))?;
    }
    area.present()?;
    Ok(())
}
