//! Requests streamed into a contestant by one thread while another reads the replies.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::contestant::{Pipeline, Running};
use crate::wire::{Id, KINDS, Kind, ReplyReader, Request};

/// Where requests come from: some at a time, ready to be written.
pub trait Source: Send {
    /// The next requests and how many they are; none when there are no more.
    fn next(&mut self) -> Option<(&[u8], usize)>;
}

/// Requests that were written out beforehand, so that the driver has nothing left to do but to send them.
pub struct Prepared {
    bytes: Vec<u8>,
    /// Where each piece ends, and how many requests it holds.
    pieces: Vec<(usize, usize)>,
    sent: usize,
    in_piece: usize,
    piece: usize,
}

impl Prepared {
    /// Writes out `requests` in the pieces that the contestant gets.
    pub fn new<'a>(running: &mut Running, requests: impl Iterator<Item = Request<'a>>) -> Self {
        let mut prepared = Self {
            bytes: Vec::new(),
            pieces: Vec::new(),
            sent: 0,
            in_piece: 0,
            piece: running.contestant.pipeline().piece,
        };
        for request in requests {
            running.put(request, &mut prepared.bytes);
            prepared.in_piece += 1;
            if prepared.in_piece == prepared.piece {
                prepared.end_piece();
            }
        }
        prepared.end_piece();
        prepared
    }

    fn end_piece(&mut self) {
        if self.in_piece > 0 {
            self.pieces.push((self.bytes.len(), self.in_piece));
            self.in_piece = 0;
        }
    }

    fn requests(&self) -> usize {
        self.pieces.iter().map(|(_, requests)| requests).sum()
    }
}

impl Source for Prepared {
    fn next(&mut self) -> Option<(&[u8], usize)> {
        let (end, requests) = *self.pieces.get(self.sent)?;
        let start = self
            .sent
            .checked_sub(1)
            .map_or(0, |last| self.pieces[last].0);
        self.sent += 1;
        Some((&self.bytes[start..end], requests))
    }
}

/// What a stream of requests took.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    pub requests: usize,
    pub wall: Duration,
    /// The contestant's own.
    pub cpu: Duration,
}

impl Cost {
    pub fn requests_per_second(&self) -> f64 {
        self.requests as f64 / self.wall.as_secs_f64()
    }

    pub fn cpu_micros_per_request(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.requests as f64
    }

    /// How much of the time the contestant was at work. Where it is not nearly all of it, the driver was the
    /// slower of the two.
    pub fn busy(&self) -> f64 {
        self.cpu.as_secs_f64() / self.wall.as_secs_f64()
    }
}

/// Who wants the ids that replies bring, if anybody does: looking for them takes the driver's time.
pub type OnIds<'a> = Option<&'a mut dyn FnMut(&[Id])>;

/// How many replies of each kind there were.
pub type Tally = [usize; KINDS];

/// What goes on between the thread that writes and the one that reads.
#[derive(Default)]
struct Progress {
    replies: AtomicU64,
    failed: AtomicBool,
}

/// Sends prepared requests, all to be answered by `kind`, and gives `on_ids` the ids that the replies bring, as they
/// come.
pub fn run_prepared(
    running: &mut Running,
    mut requests: Prepared,
    kind: Kind,
    on_ids: OnIds<'_>,
) -> Result<Cost> {
    let count = requests.requests();
    let (cost, tally) = run(running, &mut requests, count, on_ids)?;
    ensure!(
        tally[kind as usize] == count,
        "{}: not all of {count} replies are {kind:?}: {tally:?}",
        running.contestant.name()
    );
    Ok(cost)
}

/// Sends the `count` requests of `source`, and gives `on_ids` the ids that the replies bring as they come.
pub fn run(
    running: &mut Running,
    source: &mut dyn Source,
    count: usize,
    on_ids: OnIds<'_>,
) -> Result<(Cost, Tally)> {
    let before = running.cpu_time()?;
    let started = Instant::now();
    let tally =
        exchange(running, source, count, on_ids).with_context(|| running.contestant.name())?;
    let cost = Cost {
        requests: count,
        wall: started.elapsed(),
        cpu: running.cpu_time()?.since(&before),
    };
    Ok((cost, tally))
}

fn exchange(
    running: &mut Running,
    source: &mut dyn Source,
    count: usize,
    on_ids: OnIds<'_>,
) -> Result<Tally> {
    let progress = Progress::default();
    let pipeline = running.contestant.pipeline();
    let Running {
        input,
        output,
        replies,
        ..
    } = running;
    thread::scope(|scope| {
        let writer = scope.spawn(|| send(source, input, pipeline, &progress));
        let received = receive(replies, output, count, &progress, on_ids);
        progress.failed.store(received.is_err(), Ordering::Relaxed);
        writer.join().expect("the writer does not panic")?;
        received
    })
}

fn send(
    source: &mut dyn Source,
    input: &mut dyn Write,
    pipeline: Pipeline,
    progress: &Progress,
) -> Result<()> {
    let mut sent = 0;
    while let Some((bytes, requests)) = source.next() {
        sent += requests as u64;
        while sent - progress.replies.load(Ordering::Relaxed) > pipeline.window {
            if progress.failed.load(Ordering::Relaxed) {
                return Ok(());
            }
            thread::sleep(Duration::from_micros(20));
        }
        input.write_all(bytes).context("cannot write requests")?;
    }
    Ok(())
}

fn receive(
    replies: &mut ReplyReader,
    output: &mut dyn Read,
    count: usize,
    progress: &Progress,
    mut on_ids: OnIds<'_>,
) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut received = 0;
    let mut ids = Vec::new();
    while received < count {
        replies.fill(output).context("cannot read replies")?;
        while let Some((kind, id)) = replies.next(on_ids.is_some()) {
            tally[kind as usize] += 1;
            received += 1;
            ids.extend(id);
        }
        progress.replies.store(received as u64, Ordering::Relaxed);
        if let Some(on_ids) = &mut on_ids {
            on_ids(&ids);
            ids.clear();
        }
    }
    Ok(tally)
}
