//! Writes session events, one JSON object per line, for operators who must know who logged in, from where, and when a
//! session ended (OWASP ASVS 5.0, chapter V16). The audit never contains a session id.

use std::io::{self, Write};
use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;
use serde_json::value::RawValue;
use tracing::{info, warn};

use crate::outage::{Outage, Turn};
use crate::session::Timestamp;
use crate::store::{Event, EventKind, Outcomes, Reason, Record};

/// Writes the events of each batch. If a write fails, the audit reports that and drops the events, so that no reply
/// waits for it.
pub struct Audit {
    output: Box<dyn Write + Send>,
    record: Record,
    lines: Vec<u8>,
    outage: Outage,
}

/// A line of the audit.
#[derive(Serialize)]
struct Entry<'a> {
    /// The time in the format of RFC 3339, in UTC.
    time: String,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    handle: Option<String>,
    /// The sender's name, as the request gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    src: Option<&'a RawValue>,
    /// The user and the number of the process that sent the request through a socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
}

/// A process that has connected to the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The user who ran the process when it connected.
    pub uid: u32,
    /// The number of the process when it connected.
    pub pid: Option<u32>,
}

/// Where a request comes from.
pub struct Origin<'a> {
    /// The JSON text of the sender's name.
    pub src_json: Option<&'a str>,
    /// The process that sent the request, if it did through a socket.
    pub peer: Option<Peer>,
}

impl Audit {
    /// Makes an audit of the events that `record` selects. Pass an unbuffered writer, because the audit writes the
    /// events of a batch with one write.
    pub fn new(output: Box<dyn Write + Send>, record: Record) -> Self {
        Self {
            output,
            record,
            lines: Vec::new(),
            outage: Outage::default(),
        }
    }

    /// Which events the audit writes.
    pub fn record(&self) -> Record {
        self.record
    }

    /// Writes the events of a batch. `origin_of` returns where the operation at a place comes from. The audit calls it
    /// in the order of the operations.
    pub fn write<'s>(
        &mut self,
        now: Timestamp,
        outcomes: &Outcomes,
        mut origin_of: impl FnMut(usize) -> Option<Origin<'s>>,
    ) {
        if outcomes.events().is_empty() {
            return;
        }
        let time = UNIX_EPOCH + Duration::from_millis(now.as_millis());
        let time = humantime::format_rfc3339_millis(time).to_string();
        self.lines.clear();
        if self.outage.lasts() {
            // The failed write may have left half a line.
            self.lines.push(b'\n');
        }
        for event in outcomes.events() {
            // Nobody asked for a session to expire.
            let origin = origin_of(event.operation).filter(|_| event.kind != EventKind::Expired);
            let src_json = origin.as_ref().and_then(|origin| origin.src_json);
            let peer = origin.as_ref().and_then(|origin| origin.peer);
            let entry = Entry {
                time: time.clone(),
                src: src_json.and_then(|json| serde_json::from_str(json).ok()),
                uid: peer.map(|peer| peer.uid),
                pid: peer.and_then(|peer| peer.pid),
                ..Entry::of(event, outcomes)
            };
            serde_json::to_writer(&mut self.lines, &entry).expect("an entry is JSON");
            self.lines.push(b'\n');
        }
        let output = &mut self.output;
        let written = output.write_all(&self.lines).and_then(|()| output.flush());
        self.report(&written);
    }

    fn report(&mut self, written: &io::Result<()>) {
        match (self.outage.note(written.is_err()), written) {
            (Some(Turn::Begins), Err(error)) => {
                warn!("the audit cannot be written, so session events are being lost: {error}");
            }
            (Some(Turn::Ends), _) => info!("the audit can be written again"),
            _ => {}
        }
    }
}

impl<'a> Entry<'a> {
    fn of(event: &Event, outcomes: &'a Outcomes) -> Self {
        let (name, reason, count) = match event.kind {
            EventKind::Created => ("created", None, None),
            EventKind::Validated => ("validated", None, None),
            EventKind::Invalid => ("invalid", None, None),
            EventKind::Regenerated => ("regenerated", None, None),
            EventKind::ReuseDetected => ("reuse_detected", None, None),
            EventKind::Evicted => ("evicted", None, None),
            EventKind::Destroyed(reason) => ("destroyed", Some(reason.name()), None),
            EventKind::AllDestroyed(count) => ("all_destroyed", None, Some(count)),
            EventKind::Expired => ("expired", None, None),
            EventKind::Rejected => ("rejected", None, None),
        };
        Self {
            time: String::new(),
            event: name,
            reason,
            count,
            user: event.user.as_ref().map(|user| outcomes.text(user)),
            handle: event.handle.map(|handle| handle.to_string()),
            src: None,
            uid: None,
            pid: None,
        }
    }
}

impl Reason {
    fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Handle => "handle",
            Self::User => "user",
            Self::Reuse => "reuse",
        }
    }
}
