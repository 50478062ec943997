//! Commands to one server or to all of a cluster, in pipelines, and what became of each.
//!
//! The cluster client of the `redis` crate tries commands again by itself, also those of which it cannot know whether
//! they took effect. A store that says which of the two it was has to send its own: connections, encoding and parsing
//! are the crate's, slots and redirections are here.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use redis::{Cmd, ConnectionAddr, ConnectionInfo, Value, cmd};

use super::link::Link;
use super::options::RedisOptions;
use super::slots::{SLOTS, ranges, slot_of};
use crate::store::StoreError;

/// How often commands are sent anew because their slots were elsewhere. Each time the node learns where they are.
const MAX_ROUNDS: usize = 6;

/// Commands for the servers, each for one key.
#[derive(Default)]
pub struct Commands {
    bytes: Vec<u8>,
    keys: String,
    list: Vec<Command>,
}

/// One of them: where its bytes are, and its key.
struct Command {
    slot: u16,
    key: Range<usize>,
    bytes: Range<usize>,
}

impl Commands {
    /// Adds a command that concerns `key`.
    pub fn add(&mut self, key: &str, command: &Cmd) {
        let (first_of_key, first) = (self.keys.len(), self.bytes.len());
        self.keys.push_str(key);
        command.write_packed_command(&mut self.bytes);
        self.list.push(Command {
            slot: slot_of(key),
            key: first_of_key..self.keys.len(),
            bytes: first..self.bytes.len(),
        });
    }

    fn slot(&self, command: usize) -> usize {
        usize::from(self.list[command].slot)
    }

    fn key(&self, command: usize) -> &str {
        &self.keys[self.list[command].key.clone()]
    }

    fn bytes(&self, command: usize) -> &[u8] {
        &self.bytes[self.list[command].bytes.clone()]
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

/// A reply to a command, or why there is none: a reason says what was wrong, and never what was sent.
pub type Answer = Result<Value, StoreError>;

/// A command on its way.
#[derive(Clone, Copy)]
struct Sending {
    /// Which.
    command: usize,
    /// Where to.
    link: usize,
    /// Whether the slot is moving, and the server has to be told that we know.
    asking: bool,
}

/// What a reply means for its command.
enum Verdict {
    Final(Answer),
    /// Another server has the slot now.
    Moved(String, u16),
    /// Another server has this key, while the slot is moving.
    Ask(String, u16),
    /// The server has not got the script.
    Unknown,
    /// Not here and now, but perhaps where the slot is said to be next time.
    Elsewhere(String),
}

/// The servers, with a connection to each that was needed so far.
pub struct Servers {
    options: RedisOptions,
    links: Vec<Link>,
    by_address: BTreeMap<(String, u16), usize>,
    /// Which link has a slot; empty without a cluster.
    slots: Vec<usize>,
    /// Whether the slots have to be asked for again.
    is_outdated: bool,
    /// The links through which something was sent since [`Servers::forget_used`].
    used: Vec<usize>,
}

impl Servers {
    /// Connects to the server, or to one of those of the cluster.
    pub fn connect(options: RedisOptions) -> Result<Self, String> {
        let mut servers = Self {
            links: Vec::new(),
            by_address: BTreeMap::new(),
            slots: Vec::new(),
            is_outdated: false,
            used: Vec::new(),
            options,
        };
        for server in servers.options.url.servers().to_vec() {
            servers.link_to(server);
        }
        if servers.options.url.is_cluster() {
            servers.find_slots()?;
        } else {
            servers.links[0].open(&servers.options)?;
            let slots = servers.ask(0, cmd("CLUSTER").arg("SLOTS"));
            if slots.is_ok_and(|value| ranges(&value, "").is_some()) {
                return Err(servers.links[0].is_of_a_cluster());
            }
        }
        Ok(servers)
    }

    fn link_to(&mut self, info: ConnectionInfo) -> usize {
        let link = self.links.len();
        if let Some((host, port)) = host_and_port(&info) {
            match self.by_address.entry((host.to_owned(), port)) {
                Entry::Occupied(entry) => return *entry.get(),
                Entry::Vacant(entry) => entry.insert(link),
            };
        }
        self.links.push(Link::new(info));
        link
    }

    /// The link to a server of the cluster that another server has named.
    fn link_to_address(&mut self, host: &str, port: u16) -> usize {
        let known = &self.options.url.servers()[0];
        let address = match known.addr().clone() {
            ConnectionAddr::TcpTls {
                insecure,
                tls_params,
                ..
            } => ConnectionAddr::TcpTls {
                host: host.to_owned(),
                port,
                insecure,
                tls_params,
            },
            _ => ConnectionAddr::Tcp(host.to_owned(), port),
        };
        self.link_to(known.clone().set_addr(address))
    }

    /// Sends all commands, those for one server in one pipeline and in their order, and reads the answers. Those for
    /// one key take effect in their order, or not at all.
    pub fn exchange(&mut self, commands: &Commands) -> Vec<Answer> {
        let mut answers: Vec<Option<Answer>> = Vec::new();
        answers.resize_with(commands.len(), || None);
        let mut left: Vec<(usize, Option<usize>)> =
            (0..commands.len()).map(|command| (command, None)).collect();
        let mut why = String::new();
        for _ in 0..MAX_ROUNDS {
            if left.is_empty() {
                break;
            }
            if self.is_outdated
                && let Err(error) = self.find_slots()
            {
                why = error;
                break;
            }
            left = self.round(commands, &left, &mut answers, &mut why);
            give_up_overtaken(commands, &mut left, &mut answers);
        }
        for (command, _) in left {
            answers[command] = Some(Err(StoreError::NoEffect(why.clone())));
        }
        let answer = |answer: Option<_>| answer.expect("every command was answered or is left");
        answers.into_iter().map(answer).collect()
    }

    /// Sends what is left, and says what is left then: which command, and which link it was told to ask.
    fn round(
        &mut self,
        commands: &Commands,
        left: &[(usize, Option<usize>)],
        answers: &mut [Option<Answer>],
        why: &mut String,
    ) -> Vec<(usize, Option<usize>)> {
        let mut by_link: BTreeMap<usize, Vec<Sending>> = BTreeMap::new();
        for &(command, ask) in left {
            let home = self.slots.get(commands.slot(command)).copied().unwrap_or(0);
            let link = ask.unwrap_or(home);
            by_link.entry(link).or_default().push(Sending {
                command,
                link,
                asking: ask.is_some(),
            });
        }
        let mut left = Vec::new();
        by_link.retain(|&link, sendings| {
            match self.send(commands, link, sendings) {
                Ok(()) => return true,
                Err(StoreError::NoEffect(error)) if !self.slots.is_empty() => {
                    // Perhaps another server has its slots by now.
                    self.is_outdated = true;
                    *why = error;
                    left.extend(sendings.iter().map(|sending| (sending.command, None)));
                }
                Err(failure) => {
                    for sending in &*sendings {
                        answers[sending.command] = Some(Err(failure.clone()));
                    }
                }
            }
            false
        });
        for sending in by_link.into_values().flatten() {
            match self.receive(sending) {
                Verdict::Final(answer) => answers[sending.command] = Some(answer),
                Verdict::Moved(host, port) => {
                    "the slot moved too often".clone_into(why);
                    let link = self.link_to_address(&host, port);
                    self.slots[commands.slot(sending.command)] = link;
                    left.push((sending.command, None));
                }
                Verdict::Ask(host, port) => {
                    "the slot moved too often".clone_into(why);
                    let link = self.link_to_address(&host, port);
                    left.push((sending.command, Some(link)));
                }
                Verdict::Unknown => {
                    "the server does not keep its scripts".clone_into(why);
                    self.links[sending.link].knows_scripts = false;
                    left.push((sending.command, None));
                }
                Verdict::Elsewhere(error) => {
                    self.is_outdated = !self.slots.is_empty();
                    *why = error;
                    left.push((sending.command, None));
                }
            }
        }
        left.sort_unstable_by_key(|(command, _)| *command);
        left
    }

    fn send(
        &mut self,
        commands: &Commands,
        link: usize,
        sendings: &[Sending],
    ) -> Result<(), StoreError> {
        let mut bytes = Vec::new();
        for sending in sendings {
            if sending.asking {
                cmd("ASKING").write_packed_command(&mut bytes);
            }
            bytes.extend_from_slice(commands.bytes(sending.command));
        }
        if !self.used.contains(&link) {
            self.used.push(link);
        }
        let link = &mut self.links[link];
        link.open(&self.options).map_err(StoreError::NoEffect)?;
        link.send(&bytes).map_err(StoreError::MayHaveTakenEffect)
    }

    fn receive(&mut self, sending: Sending) -> Verdict {
        let is_cluster = !self.slots.is_empty();
        let link = &mut self.links[sending.link];
        if sending.asking
            && let Err(why) = link.receive()
        {
            return Verdict::Final(Err(StoreError::MayHaveTakenEffect(why)));
        }
        let error = match link.receive() {
            Ok(Value::ServerError(error)) => error,
            Ok(value) => return Verdict::Final(Ok(value)),
            Err(why) => return Verdict::Final(Err(StoreError::MayHaveTakenEffect(why))),
        };
        let address = |details: Option<&str>| {
            let (host, port) = details?.rsplit_once(' ')?.1.rsplit_once(':')?;
            // No host is that of the server which says so.
            let host = if host.is_empty() { link.host() } else { host };
            Some((host.to_owned(), port.parse().ok()?))
        };
        let details = error.details();
        let why = format!(
            "{}: {} {}",
            link.name(),
            error.code(),
            details.unwrap_or_default()
        );
        match error.code() {
            "MOVED" if !is_cluster => {
                Verdict::Final(Err(StoreError::NoEffect(link.is_of_a_cluster())))
            }
            "MOVED" => match address(details) {
                Some((host, port)) => Verdict::Moved(host, port),
                None => Verdict::Elsewhere(why),
            },
            "ASK" => match address(details) {
                Some((host, port)) => Verdict::Ask(host, port),
                None => Verdict::Elsewhere(why),
            },
            "NOSCRIPT" => Verdict::Unknown,
            "READONLY" | "CLUSTERDOWN" | "MASTERDOWN" if is_cluster => Verdict::Elsewhere(why),
            // A server that has become a replica: the name may lead to another one by now.
            "READONLY" => {
                link.give_up();
                Verdict::Final(Err(StoreError::NoEffect(why)))
            }
            "CLUSTERDOWN" | "MASTERDOWN" | "LOADING" | "OOM" | "NOREPLICAS" | "MISCONF"
            | "NOPERM" | "NOAUTH" | "BUSY" | "TRYAGAIN" | "WRONGTYPE" => {
                Verdict::Final(Err(StoreError::NoEffect(why)))
            }
            _ => Verdict::Final(Err(StoreError::MayHaveTakenEffect(why))),
        }
    }

    /// Asks the servers that are known, one after the other, who has which slots.
    fn find_slots(&mut self) -> Result<(), String> {
        let mut why = String::new();
        for link in 0..self.links.len() {
            let asked = self.links[link].ask(&self.options, cmd("CLUSTER").arg("SLOTS"));
            let host = self.links[link].host().to_owned();
            match asked.map(|value| ranges(&value, &host)) {
                Ok(Some(ranges)) => {
                    let mut slots = vec![link; SLOTS];
                    for (range, host, port) in ranges {
                        let link = self.link_to_address(&host, port);
                        slots[range].fill(link);
                    }
                    self.slots = slots;
                    self.is_outdated = false;
                    return Ok(());
                }
                Ok(None) => {
                    why = format!("{} is not part of a cluster", self.links[link].name());
                }
                Err(error) => why = error,
            }
        }
        self.is_outdated = true;
        Err(why)
    }

    /// Whether a server makes room by forgetting sessions that have not ended, and by which rule; none where it does
    /// not, or does not say.
    pub fn eviction(&mut self) -> Option<String> {
        let info = self.ask(0, cmd("INFO").arg("memory")).ok()?;
        let text = match info {
            Value::BulkString(bytes) => String::from_utf8(bytes).ok()?,
            Value::VerbatimString { text, .. } => text,
            _ => return None,
        };
        let policy = text
            .lines()
            .find_map(|line| line.strip_prefix("maxmemory_policy:"))?;
        (policy != "noeviction").then(|| policy.to_owned())
    }

    /// Waits until enough replicas hold what was sent since [`Servers::forget_used`].
    pub fn wait_for_replicas(&mut self) -> Result<(), String> {
        let wanted = self.options.wait_replicas;
        let timeout = self.options.wait_timeout;
        let mut wait = cmd("WAIT");
        wait.arg(wanted).arg(timeout.as_millis().max(1).to_string());
        for &link in &self.used {
            let link = &mut self.links[link];
            let longest = timeout + self.options.response_timeout;
            let held = link.ask_for_longer(&self.options, longest, &wait)?;
            match held {
                Value::Int(held) if held >= i64::from(wanted) => {}
                Value::Int(held) => {
                    let name = link.name();
                    return Err(format!("{name}: {held} of {wanted} replicas have it"));
                }
                _ => return Err(format!("{}: no answer to WAIT", link.name())),
            }
        }
        Ok(())
    }

    /// From here on something is sent that replicas may have to hold.
    pub fn forget_used(&mut self) {
        self.used.clear();
    }

    /// The links on which all keys are.
    pub fn primaries(&mut self) -> Result<Vec<usize>, StoreError> {
        if self.is_outdated {
            self.find_slots().map_err(StoreError::NoEffect)?;
        }
        let mut links = self.slots.clone();
        links.sort_unstable();
        links.dedup();
        Ok(if links.is_empty() { vec![0] } else { links })
    }

    /// Asks one server something that is about no key.
    pub fn ask(&mut self, link: usize, command: &Cmd) -> Result<Value, String> {
        self.links[link].ask(&self.options, command)
    }
}

/// Answers those of what is left that something later for the same key has overtaken: sent again, they would take
/// effect out of order, and a session could begin after the end of all of its user's.
fn give_up_overtaken(
    commands: &Commands,
    left: &mut Vec<(usize, Option<usize>)>,
    answers: &mut [Option<Answer>],
) {
    if left.is_empty() {
        return;
    }
    let mut latest = HashMap::new();
    for (command, answer) in answers.iter().enumerate() {
        if matches!(answer, Some(Ok(_) | Err(StoreError::MayHaveTakenEffect(_)))) {
            latest.insert(commands.key(command), command);
        }
    }
    left.retain(|&(command, _)| {
        let is_overtaken = latest.get(commands.key(command)) > Some(&command);
        if is_overtaken {
            let why = "a later command was carried out before it could be sent again";
            answers[command] = Some(Err(StoreError::NoEffect(why.to_owned())));
        }
        !is_overtaken
    });
}

fn host_and_port(info: &ConnectionInfo) -> Option<(&str, u16)> {
    match info.addr() {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
            Some((host, *port))
        }
        _ => None,
    }
}
