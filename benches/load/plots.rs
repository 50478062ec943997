//! The plots, as SVG.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::contestant::Contestant;
use crate::latency::Latency;
use crate::stats::{Distribution, Spread, micros, rate};
use crate::stream::Cost;
use crate::throughput::{Load, Throughput};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const WIDTH: i32 = 860;
/// Where the names end and the figures begin.
const LEFT: i32 = 190;
/// Room on the right for a figure beside the longest bar.
const RIGHT: i32 = WIDTH - 90;
const ROW: i32 = 22;
const TITLE: i32 = 34;

const INK: RGBColor = RGBColor(40, 44, 52);
const FAINT: RGBColor = RGBColor(215, 218, 224);
const NODE: RGBColor = RGBColor(31, 107, 177);
const FLOOR: RGBColor = RGBColor(214, 152, 54);
const PEER: RGBColor = RGBColor(140, 148, 160);

/// Bars of requests a second, one panel a load, with the spread of the rounds.
pub fn throughput(throughput: &Throughput, path: &Path) -> Result<()> {
    let rows = |load| {
        let measured = |contestant| {
            let costs = throughput.costs(contestant, load);
            let rates = costs.iter().map(Cost::requests_per_second);
            (!costs.is_empty()).then(|| (contestant, Spread::of(rates)))
        };
        Contestant::ALL
            .into_iter()
            .filter_map(measured)
            .collect::<Vec<_>>()
    };
    let panels: Vec<_> = Load::ALL.map(|load| (load, rows(load))).into();
    let lines: usize = panels.iter().map(|(_, rows)| rows.len()).sum();
    let height = (TITLE + 10) * (i32::try_from(panels.len())? + 1) + ROW * i32::try_from(lines)?;
    // One scale for all panels, so that they can be compared.
    let most = panels
        .iter()
        .flat_map(|(_, rows)| rows)
        .map(|(_, spread)| spread.max);
    let most = most.fold(0.0, f64::max);
    draw(path, height, |area| {
        text(
            area,
            "Requests a second, median and spread of the rounds",
            16,
            22,
            18,
            HPos::Left,
        )?;
        let mut y = TITLE + 10;
        for (load, rows) in &panels {
            text(area, load.name(), 16, y + TITLE / 2, 15, HPos::Left)?;
            y += TITLE;
            for (contestant, spread) in rows {
                bar(area, *contestant, *spread, most, y)?;
                y += ROW;
            }
            y += 10;
        }
        Ok(())
    })
}

fn bar(area: &Area<'_>, contestant: Contestant, rate_of: Spread, most: f64, y: i32) -> Result<()> {
    let x = |value: f64| LEFT + pixels(value / most * f64::from(RIGHT - LEFT));
    let middle = y + ROW / 2;
    text(area, contestant.name(), LEFT - 10, middle, 13, HPos::Right)?;
    let corners = [
        (LEFT, y + 3),
        (x(rate_of.median).max(LEFT + 1), y + ROW - 3),
    ];
    shape(area.draw(&Rectangle::new(corners, colour(contestant).filled())))?;
    let whisker = [(x(rate_of.min), middle), (x(rate_of.max), middle)];
    shape(area.draw(&PathElement::new(whisker, INK.stroke_width(1))))?;
    text(
        area,
        &rate(rate_of.median),
        x(rate_of.max) + 8,
        middle,
        13,
        HPos::Left,
    )
}

/// A line a contestant on a logarithmic scale, with a mark at each of the reported percentiles.
pub fn latency(latency: &Latency, path: &Path) -> Result<()> {
    let rows = i32::try_from(latency.contestants.len())?;
    let row = 34;
    let bottom = TITLE + 40 + row * rows;
    let scale = LogScale::around(latency);
    draw(path, bottom + 50, |area| {
        text(
            area,
            "One validation at a time, µs (medians of the rounds)",
            16,
            22,
            18,
            HPos::Left,
        )?;
        legend(area, TITLE + 18)?;
        grid(area, &scale, TITLE + 36, bottom)?;
        for (place, (contestant, rounds)) in (0..).zip(&latency.contestants) {
            latency_row(
                area,
                &scale,
                *contestant,
                rounds,
                TITLE + 40 + row * place + row / 2,
            )?;
        }
        Ok(())
    })
}

/// A percentile's name, the size of the mark that stands for it, and how to get it in microseconds.
type Mark = (&'static str, i32, fn(&Distribution) -> f64);

/// The reported percentiles.
const MARKS: [Mark; 4] = [
    ("p50", 6, |d| micros(d.p50)),
    ("p99", 5, |d| micros(d.p99)),
    ("p99.9", 4, |d| micros(d.p999)),
    ("maximum", 2, |d| micros(d.max)),
];

fn legend(area: &Area<'_>, y: i32) -> Result<()> {
    for (place, (name, size, _)) in (0..).zip(MARKS) {
        let x = LEFT + 100 * place;
        shape(area.draw(&Circle::new((x, y), size, PEER.filled())))?;
        text(area, name, x + 12, y, 13, HPos::Left)?;
    }
    Ok(())
}

fn grid(area: &Area<'_>, scale: &LogScale, top: i32, bottom: i32) -> Result<()> {
    for value in scale.ticks() {
        let x = scale.x(value);
        shape(area.draw(&PathElement::new([(x, top), (x, bottom)], FAINT)))?;
        text(area, &format!("{value}"), x, bottom + 14, 13, HPos::Center)?;
    }
    text(
        area,
        "µs, logarithmic",
        i32::midpoint(LEFT, RIGHT),
        bottom + 34,
        13,
        HPos::Center,
    )
}

fn latency_row(
    area: &Area<'_>,
    scale: &LogScale,
    contestant: Contestant,
    rounds: &[Distribution],
    y: i32,
) -> Result<()> {
    let colour = colour(contestant);
    let at = |figure: fn(&Distribution) -> f64| Spread::of(rounds.iter().map(figure)).median;
    text(area, contestant.name(), LEFT - 10, y, 13, HPos::Right)?;
    let [first, .., last] = MARKS;
    let ends = [(scale.x(at(first.2)), y), (scale.x(at(last.2)), y)];
    shape(area.draw(&PathElement::new(ends, colour.stroke_width(2))))?;
    for (_, size, figure) in MARKS {
        shape(area.draw(&Circle::new(
            (scale.x(at(figure)), y),
            size,
            colour.filled(),
        )))?;
    }
    let p50 = format!("{:.1}", at(first.2));
    text(area, &p50, scale.x(at(first.2)), y - 13, 11, HPos::Center)
}

/// From microseconds to pixels, whole powers of ten at both ends.
struct LogScale {
    least: i32,
    most: i32,
}

impl LogScale {
    fn around(latency: &Latency) -> Self {
        let all = || latency.contestants.iter().flat_map(|(_, rounds)| rounds);
        let least = all().map(|d| micros(d.p50)).fold(f64::MAX, f64::min);
        let most = all().map(|d| micros(d.max)).fold(1.0, f64::max);
        Self {
            least: pixels(least.log10().floor()),
            most: pixels(most.log10().ceil()),
        }
    }

    fn x(&self, micros: f64) -> i32 {
        let part = (micros.log10() - f64::from(self.least)) / f64::from(self.most - self.least);
        LEFT + pixels(part * f64::from(RIGHT - LEFT))
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        (self.least..=self.most).map(|power| 10_f64.powi(power))
    }
}

fn colour(contestant: Contestant) -> RGBColor {
    match contestant {
        Contestant::SessionNode => NODE,
        Contestant::ParseFloor | Contestant::EchoFloor => FLOOR,
        _ => PEER,
    }
}

fn draw(path: &Path, height: i32, content: impl Fn(&Area<'_>) -> Result<()>) -> Result<()> {
    let size = (WIDTH.unsigned_abs(), height.unsigned_abs());
    let area = SVGBackend::new(path, size).into_drawing_area();
    shape(area.fill(&WHITE))?;
    content(&area)?;
    shape(area.present())
}

fn text(area: &Area<'_>, what: &str, x: i32, y: i32, size: i32, anchor: HPos) -> Result<()> {
    let style = ("sans-serif", size)
        .into_font()
        .color(&INK)
        .pos(Pos::new(anchor, VPos::Center));
    shape(area.draw(&Text::new(what.to_owned(), (x, y), style)))
}

/// plotters' errors borrow the drawing area.
fn shape<E: std::fmt::Display>(drawn: Result<(), E>) -> Result<()> {
    drawn.map_err(|error| anyhow!("cannot draw: {error}"))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a place in a small picture"
)]
fn pixels(value: f64) -> i32 {
    value.round() as i32
}
