//! Streams requests into a contestant with one thread, while another thread reads the replies.

use std::io::{Read, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::arena::Running;
use crate::contestant::Pipeline;
use crate::machine::CpuTime;
use crate::wire::{Id, KINDS, Kind, ReplyReader, Request};

/// Requests for one write.
#[derive(Default)]
pub struct Piece {
    pub bytes: Vec<u8>,
    pub requests: usize,
}

/// What a stream of requests took.
#[derive(Clone, Copy)]
pub struct Cost {
    requests: usize,
    wall: Duration,
    /// The contestant's own CPU time.
    cpu: Duration,
}

impl Cost {
    pub fn requests_per_second(&self) -> f64 {
        self.requests as f64 / self.wall.as_secs_f64()
    }

    pub fn cpu_micros_per_request(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.requests as f64
    }

    /// How much of the time the contestant worked. If it did not work nearly all of the time, it waited for the driver.
    pub fn busy(&self) -> f64 {
        self.cpu.as_secs_f64() / self.wall.as_secs_f64()
    }
}

/// The number of replies of each kind.
pub type Tally = [usize; KINDS];

/// What the writing thread and the reading thread tell each other.
#[derive(Default)]
struct Progress {
    replies: AtomicUsize,
    has_failed: AtomicBool,
}

/// Sends `requests`, to each of which a reply of `kind` must come, and returns the ids that the replies bring. Writes
/// all requests out first, so that the driver only has to send them.
pub fn ask_all<'a>(
    running: &mut Running,
    requests: impl Iterator<Item = Request<'a>>,
    kind: Kind,
) -> Result<(Cost, Vec<Id>)> {
    let mut requests = requests.peekable();
    let mut pieces = Vec::new();
    let mut count = 0;
    while requests.peek().is_some() {
        let mut piece = Piece::default();
        for request in requests.by_ref().take(running.contestant.pipeline().piece) {
            running.put(request, &mut piece.bytes);
            piece.requests += 1;
        }
        count += piece.requests;
        pieces.push(piece);
    }
    let ids = Mutex::default();
    // Only two kinds bring ids, and looking for them takes the driver's time.
    let ids_wanted = matches!(kind, Kind::Created | Kind::Regenerated).then_some(&ids);
    let (cost, tally) = run(running, pieces.into_iter(), count, ids_wanted)?;
    ensure!(
        tally[kind as usize] == count,
        "{}: not all of {count} replies are {kind:?}: {tally:?}",
        running.contestant.name()
    );
    Ok((cost, ids.into_inner()?))
}

/// Sends `pieces`, which hold `count` requests, and adds the ids that the replies bring to `ids` as they come.
pub fn run(
    running: &mut Running,
    pieces: impl Iterator<Item = Piece> + Send,
    count: usize,
    ids: Option<&Mutex<Vec<Id>>>,
) -> Result<(Cost, Tally)> {
    let progress = Progress::default();
    let pipeline = running.contestant.pipeline();
    let before = CpuTime::of(running.pid())?;
    let started = Instant::now();
    let (input, output, replies) = (
        &mut running.input,
        &mut running.output,
        &mut running.replies,
    );
    let tally = thread::scope(|scope| {
        let writer = scope.spawn(|| send(pieces, input, pipeline, &progress));
        let received = receive(replies, output, count, &progress, ids);
        progress
            .has_failed
            .store(received.is_err(), Ordering::Relaxed);
        writer.join().expect("the writer does not panic")?;
        received
    });
    let tally = tally.with_context(|| running.contestant.name())?;
    let cost = Cost {
        requests: count,
        wall: started.elapsed(),
        cpu: CpuTime::of(running.pid())?.since(&before),
    };
    Ok((cost, tally))
}

fn send(
    pieces: impl Iterator<Item = Piece>,
    input: &mut dyn Write,
    pipeline: Pipeline,
    progress: &Progress,
) -> Result<()> {
    let mut sent = 0;
    for piece in pieces {
        sent += piece.requests;
        while sent - progress.replies.load(Ordering::Relaxed) > pipeline.window {
            if progress.has_failed.load(Ordering::Relaxed) {
                return Ok(());
            }
            thread::sleep(Duration::from_micros(20));
        }
        input
            .write_all(&piece.bytes)
            .context("cannot write requests")?;
    }
    Ok(())
}

fn receive(
    replies: &mut ReplyReader,
    output: &mut dyn Read,
    count: usize,
    progress: &Progress,
    ids: Option<&Mutex<Vec<Id>>>,
) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut received = 0;
    let mut new_ids = Vec::new();
    while received < count {
        replies.fill(output).context("cannot read replies")?;
        while let Some((kind, id)) = replies.next(ids.is_some()) {
            tally[kind as usize] += 1;
            received += 1;
            new_ids.extend(id);
        }
        progress.replies.store(received, Ordering::Relaxed);
        if let Some(ids) = ids {
            ids.lock().expect("nobody panics").append(&mut new_ids);
        }
    }
    Ok(tally)
}
