//! What is written of a run: tables in Markdown and two plots.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::contestant::Contestant::{self, CourseNode, EchoFloor, ParseFloor, Redis, SessionNode};
use crate::growth::{Growth, Round, Slowest};
use crate::latency::Latency;
use crate::plots;
use crate::scale::Step;
use crate::shared::Shared;
use crate::stats::{Distribution, Spread, micros, rate};
use crate::stream::Cost;
use crate::throughput::{Load, Throughput};

const BEGIN: &str = "<!-- load: begin -->";
const END: &str = "<!-- load: end -->";

/// All that was measured; what was not is left out.
pub struct Results {
    pub machine: String,
    pub absent: Vec<String>,
    pub throughput: Option<Throughput>,
    pub latency: Option<Latency>,
    pub scale: Option<Vec<Step>>,
    pub growth: Option<Growth>,
    pub shared: Option<Shared>,
}

/// Where a run is written: a directory, and in it a `benchmarks.md`.
pub struct Report {
    directory: PathBuf,
    /// The document, to which the tables will be added.
    text: String,
}

impl Report {
    /// Opens the `benchmarks.md` that is there, or begins one. Before the run, so that a run of ten minutes does not
    /// fail at its end for want of a place for the tables.
    pub fn open(directory: PathBuf) -> Result<Self> {
        fs::create_dir_all(&directory)?;
        let path = directory.join("benchmarks.md");
        let text = fs::read_to_string(&path).unwrap_or_else(|_| format!("{BEGIN}\n{END}\n"));
        between_markers(&text, "")
            .with_context(|| format!("{} has no {BEGIN} … {END}", path.display()))?;
        Ok(Self { directory, text })
    }

    /// Prints the tables, and writes them and the plots.
    pub fn publish(&self, results: &Results) -> Result<()> {
        let tables = tables(results)?;
        println!("{tables}");
        let text = between_markers(&self.text, &tables).context("the markers were there before")?;
        fs::write(self.directory.join("benchmarks.md"), text)?;
        if let Some(throughput) = &results.throughput {
            plots::throughput(throughput, &self.directory.join("throughput.svg"))?;
        }
        if let Some(latency) = &results.latency {
            plots::latency(latency, &self.directory.join("latency.svg"))?;
        }
        eprintln!("written to {}", self.directory.display());
        Ok(())
    }
}

/// The document with `tables` in their place.
fn between_markers(text: &str, tables: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{tables}{END}{after}"))
}

fn tables(results: &Results) -> Result<String> {
    let mut out = results.machine.clone();
    for absent in &results.absent {
        writeln!(out, "- {absent}")?;
    }
    targets(results, &mut out)?;
    if let Some(throughput) = &results.throughput {
        throughput_tables(throughput, &mut out)?;
    }
    if let Some(latency) = &results.latency {
        latency_table(latency, &mut out)?;
    }
    if let Some(steps) = &results.scale {
        scale_table(steps, &mut out)?;
    }
    if let Some(growth) = &results.growth {
        growth_tables(growth, &mut out)?;
    }
    if let Some(shared) = &results.shared {
        shared_table(shared, &mut out)?;
    }
    Ok(out)
}

/// A figure that was set as a goal.
struct Target {
    figure: &'static str,
    goal: &'static str,
    measured: Option<Spread>,
    reached: fn(f64) -> bool,
    /// What else to know of it.
    note: String,
}

fn targets(results: &Results, out: &mut String) -> Result<()> {
    writeln!(
        out,
        "\n### Targets\n\nRatios are taken round by round: median (least to most).\n\n\
         | figure | goal | measured | reached | note |\n| --- | --- | --- | --- | --- |"
    )?;
    let mut targets = Vec::new();
    targets.extend(results.throughput.iter().flat_map(throughput_targets));
    targets.extend(results.latency.iter().map(latency_target));
    targets.extend(results.scale.iter().flat_map(|steps| scale_targets(steps)));
    targets.extend(results.growth.iter().map(growth_target));
    targets.extend(results.shared.iter().flat_map(shared_targets));
    for target in targets {
        let Some(measured) = target.measured else {
            writeln!(
                out,
                "| {} | {} | not measured | | {} |",
                target.figure, target.goal, target.note
            )?;
            continue;
        };
        let reached = if (target.reached)(measured.median) {
            "yes"
        } else {
            "**no**"
        };
        writeln!(
            out,
            "| {} | {} | {} | {reached} | {} |",
            target.figure,
            target.goal,
            show(measured),
            target.note
        )?;
    }
    Ok(())
}

fn throughput_targets(throughput: &Throughput) -> [Target; 4] {
    let by_wall = |load, peer| {
        ratio(
            &throughput.costs(SessionNode, load),
            &throughput.costs(peer, load),
            Cost::requests_per_second,
        )
    };
    let by_cpu = |load, peer| {
        let ratio = ratio(
            &throughput.costs(peer, load),
            &throughput.costs(SessionNode, load),
            Cost::cpu_micros_per_request,
        );
        ratio.map_or(String::new(), |ratio| {
            format!("by CPU time: {}", show(ratio))
        })
    };
    let target = |figure, goal, load, peer, reached| Target {
        figure,
        goal,
        measured: by_wall(load, peer),
        reached,
        note: by_cpu(load, peer),
    };
    [
        target(
            "validate, requests a second, against the parse floor",
            "≥ 0.75",
            Load::Validate,
            ParseFloor,
            |x| x >= 0.75,
        ),
        target(
            "… against the course-style Rust node",
            "≥ 6",
            Load::Validate,
            CourseNode,
            |x| x >= 6.0,
        ),
        target(
            "… against Redis `GET`, pipelines of 256",
            "≥ 2",
            Load::Validate,
            Redis,
            |x| x >= 2.0,
        ),
        target(
            "create, against the course-style Rust node",
            "≥ 5",
            Load::Create,
            CourseNode,
            |x| x >= 5.0,
        ),
    ]
}

fn latency_target(latency: &Latency) -> Target {
    let p50 = |one: &Distribution| micros(one.p50);
    let rounds = latency.of(SessionNode).zip(latency.of(EchoFloor));
    Target {
        figure: "one-at-a-time p50, against the echo floor",
        goal: "≤ 1.1",
        measured: rounds.and_then(|(node, echo)| ratio(node, echo, p50)),
        reached: |x| x <= 1.1,
        note: String::new(),
    }
}

fn scale_targets(steps: &[Step]) -> [Target; 3] {
    let at = |sessions| steps.iter().find(|step| step.sessions == sessions);
    let (million, ten_millions) = (at(1_000_000), at(10_000_000));
    let cost =
        |step: &Step| Spread::of(step.validate.iter().map(Cost::cpu_micros_per_request)).median;
    let exactly = |value| Spread::of([value]);
    let beside =
        million.and_then(|step| Some((step.bytes_per_session?, step.redis_bytes_per_session?)));
    [
        Target {
            figure: "validate at 10 million sessions, CPU per request, against 100,000",
            goal: "≤ 1.8",
            measured: ten_millions.map(|step| exactly(cost(step) / cost(&steps[0]))),
            reached: |x| x <= 1.8,
            note: String::new(),
        },
        Target {
            figure: "resident bytes per session at 1 million, each with its own user of 12 bytes",
            goal: "≤ 160",
            measured: million.and_then(|step| step.bytes_per_session).map(exactly),
            reached: |x| x <= 160.0,
            note: String::new(),
        },
        Target {
            figure: "… against Redis's",
            goal: "< 1",
            measured: beside.map(|(node, redis)| exactly(node / redis)),
            reached: |x| x < 1.0,
            note: String::new(),
        },
    ]
}

fn growth_target(growth: &Growth) -> Target {
    let millis = |slowest: &Slowest| slowest.worst().as_secs_f64() * 1e3;
    let spread = |one: fn(&Round) -> &Slowest| {
        show(Spread::of(
            growth.rounds.iter().map(|round| millis(one(round))),
        ))
    };
    Target {
        figure: "slowest `apply` of one create while growing to 5 million, in ms, the same create in every round",
        goal: "≤ 1",
        measured: Some(Spread::of([growth.in_every_round.as_secs_f64() * 1e3])),
        reached: |x| x <= 1.0,
        note: format!(
            "to {} sessions; the slowest of each round: {}; of the idle loop: {}",
            thousands(growth.sessions),
            spread(|round| &round.growing),
            spread(|round| &round.idle)
        ),
    }
}

/// Of the same figure of two contestants, round by round, which the machine's moods touch less than either.
fn ratio<T>(of: &[T], to: &[T], figure: impl Fn(&T) -> f64) -> Option<Spread> {
    if of.is_empty() || to.is_empty() {
        return None;
    }
    Some(Spread::of(
        of.iter()
            .zip(to)
            .map(|(one, other)| figure(one) / figure(other)),
    ))
}

fn throughput_tables(throughput: &Throughput, out: &mut String) -> Result<()> {
    writeln!(
        out,
        "\n### Throughput\n\n![Requests a second](throughput.svg)\n\n{} sessions. \
         Requests per second: median (least to most). A contestant that was busy for much less than 100 % of\n\
         the time waited for the driver. *Requests per CPU second* is its rate on a core that it neither shares nor \
         waits on.",
        thousands(throughput.sessions)
    )?;
    for load in Load::ALL {
        writeln!(
            out,
            "\n| {} | requests/s | CPU µs per request | requests per CPU second | busy |\n\
             | --- | --: | --: | --: | --: |",
            load.name()
        )?;
        for contestant in Contestant::ALL {
            let costs = throughput.costs(contestant, load);
            if !costs.is_empty() {
                writeln!(out, "| {} |{}", contestant.name(), throughput_cells(&costs))?;
            }
        }
    }
    Ok(())
}

fn throughput_cells(costs: &[Cost]) -> String {
    let wall = Spread::of(costs.iter().map(Cost::requests_per_second));
    let cpu = Spread::of(costs.iter().map(Cost::cpu_micros_per_request));
    let busy = Spread::of(costs.iter().map(Cost::busy));
    format!(
        " {} ({} to {}) | {} | {} | {:.0} % |",
        rate(wall.median),
        rate(wall.min),
        rate(wall.max),
        show(cpu),
        rate(1e6 / cpu.median),
        busy.median * 100.0
    )
}

fn latency_table(latency: &Latency, out: &mut String) -> Result<()> {
    writeln!(
        out,
        "\n### Latency\n\n![Latency](latency.svg)\n\n\
         One validation at a time, {} per round, {} sessions, in µs: median of the rounds (least to most).\n\n\
         | | p50 | p99 | p99.9 | maximum |\n| --- | --: | --: | --: | --: |",
        thousands(latency.pings),
        thousands(latency.sessions)
    )?;
    for (contestant, rounds) in &latency.contestants {
        let at = |pick: fn(&Distribution) -> std::time::Duration| {
            show(Spread::of(rounds.iter().map(|round| micros(pick(round)))))
        };
        writeln!(
            out,
            "| {} | {} | {} | {} | {} |",
            contestant.name(),
            at(|d| d.p50),
            at(|d| d.p99),
            at(|d| d.p999),
            at(|d| d.max)
        )?;
    }
    Ok(())
}

fn scale_table(steps: &[Step], out: &mut String) -> Result<()> {
    writeln!(
        out,
        "\n### Scale and memory\n\n\
         Each session has its own user with a name of 12 bytes. Redis keeps the id of 36 characters with the user's \
         name, and no\nindex by user.\n\n\
         | sessions | validate, CPU µs per request | resident bytes per session | Redis |\n\
         | --: | --: | --: | --: |"
    )?;
    let bytes = |bytes: Option<f64>| bytes.map_or(String::new(), |bytes| format!("{bytes:.0}"));
    for step in steps {
        let cpu = Spread::of(step.validate.iter().map(Cost::cpu_micros_per_request));
        writeln!(
            out,
            "| {} | {} | {} | {} |",
            thousands(step.sessions),
            show(cpu),
            bytes(step.bytes_per_session),
            bytes(step.redis_bytes_per_session)
        )?;
    }
    Ok(())
}

fn growth_tables(growth: &Growth, out: &mut String) -> Result<()> {
    let round = growth.typical();
    writeln!(
        out,
        "\n### Pauses\n\n\
         The table shows the ten slowest calls of `apply` with one operation, in µs, and how many calls came before \
         each. It\nshows the round whose slowest create is the median. *Growing*: creates until there are {} sessions. \
         *Idle loop*:\na loop of the same duration that only reads the clock. *After the end*: creates and validations \
         after {} sessions\nended at the same moment (all cleared after {} calls).\n\n\
         | growing | idle loop | after the end |\n| --: | --: | --: |",
        thousands(growth.sessions),
        thousands(growth.expiring_sessions),
        thousands(round.calls_to_clear)
    )?;
    let cell = |slowest: &Slowest, place: usize| {
        slowest
            .0
            .get(place)
            .map_or(String::new(), |(took, number)| {
                format!("{:.0} at {}", micros(*took), thousands(*number))
            })
    };
    for place in 0..round.growing.0.len() {
        writeln!(
            out,
            "| {} | {} | {} |",
            cell(&round.growing, place),
            cell(&round.idle, place),
            cell(&round.expiring, place)
        )?;
    }
    Ok(())
}

fn shared_targets(shared: &Shared) -> [Target; 3] {
    let rate = |costs: &[Cost]| Spread::of(costs.iter().map(Cost::requests_per_second));
    let p50 = |distribution: &Distribution| micros(distribution.p50);
    let rounds = shared
        .lone
        .iter()
        .zip(shared.memory.iter().zip(&shared.get));
    let ratio = rounds.map(|(lone, (memory, get))| p50(lone) / (p50(memory) + p50(get)));
    [
        Target {
            figure: "validate a second, on Redis",
            goal: "≥ 60,000",
            measured: Some(rate(&shared.validate)),
            reached: |rate| rate >= 60_000.0,
            note: String::new(),
        },
        Target {
            figure: "create a second, on Redis",
            goal: "≥ 30,000",
            measured: Some(rate(&shared.create)),
            reached: |rate| rate >= 30_000.0,
            note: String::new(),
        },
        Target {
            figure: "one-at-a-time p50 on Redis against the sum of memory's and a bare `GET`'s",
            goal: "≤ 1.2",
            measured: Some(Spread::of(ratio)),
            reached: |ratio| ratio <= 1.2,
            note: String::new(),
        },
    ]
}

fn shared_table(shared: &Shared, out: &mut String) -> Result<()> {
    writeln!(
        out,
        "\n### The store on Redis\n\n\
         One node, {} sessions, each with its own user. The CPU time is the node's, without the server's. A node that\n\
         has not seen a session before first asks where it is.\n\n\
         | | requests/s | CPU µs per request | the same as a rate | busy |\n| --- | --: | --: | --: | --: |",
        thousands(shared.sessions)
    )?;
    for (name, costs) in [
        ("create", &shared.create),
        ("validate", &shared.validate),
        ("validate, at first sight", &shared.first_sight),
    ] {
        writeln!(out, "| {name} |{}", throughput_cells(costs))?;
    }
    writeln!(
        out,
        "\n| one at a time, µs | p50 | p99 |\n| --- | --: | --: |"
    )?;
    for (name, rounds) in [
        ("validate in memory", &shared.memory),
        ("a bare `GET`", &shared.get),
        ("validate on Redis", &shared.lone),
    ] {
        let at = |pick: fn(&Distribution) -> std::time::Duration| {
            show(Spread::of(rounds.iter().map(|round| micros(pick(round)))))
        };
        writeln!(out, "| {name} | {} | {} |", at(|d| d.p50), at(|d| d.p99))?;
    }
    Ok(())
}

/// A median, and the spread where there is one, to three digits.
fn show(spread: Spread) -> String {
    let Spread { median, min, max } = spread;
    if min < max {
        format!("{} ({} to {})", digits(median), digits(min), digits(max))
    } else {
        digits(median)
    }
}

fn digits(value: f64) -> String {
    match value.abs() {
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// A count, its digits in threes.
fn thousands(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
