//! Takes commands to one server, or to all servers of a cluster, and brings back their answers.
//!
//! The cluster client of the `redis` crate resends commands by itself, even if they may have taken effect. This store
//! reports whether a failed command may have taken effect, so it follows slots and redirections itself. It leaves
//! connections, encoding and parsing to the crate.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use redis::{Cmd, ConnectionAddr, ConnectionInfo, Value, cmd};

use super::commands::{Answer, Commands};
use super::exchange::{Exchange, Sending};
use super::link::Link;
use super::options::RedisOptions;
use super::slots::{SLOTS, ranges};
use super::verdict::{Verdict, name_the_cluster};
use crate::store::StoreError;

/// How often the node sends a command at most. Each time that its slot is elsewhere, the node learns where.
const MAX_ROUNDS: usize = 6;
const MOVED_TOO_OFTEN: &str = "the slot moved too often";

/// The servers, with a connection to each that the node has needed so far.
pub struct Servers {
    options: RedisOptions,
    links: Vec<Link>,
    by_address: BTreeMap<(String, u16), usize>,
    /// The link of each slot; empty without a cluster.
    slots: Vec<usize>,
    /// Whether the node must ask again where the slots are.
    is_outdated: bool,
    /// The links through which the node has sent commands since [`Servers::forget_used`].
    used: Vec<usize>,
}

impl Servers {
    /// Connects to the server, or to one server of the cluster.
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
                return Err(name_the_cluster(servers.links[0].name()));
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

    /// Finds the link to a server of the cluster that another server has named, or adds it.
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

    /// Sends all commands, those for one server in one pipeline and in their order, and reads the answers. The commands
    /// for one key take effect in their order or not at all.
    pub fn exchange(&mut self, commands: &Commands) -> Vec<Answer> {
        let mut exchange = Exchange::of(commands);
        for _ in 0..MAX_ROUNDS {
            if exchange.is_over() {
                break;
            }
            if self.is_outdated
                && let Err(why) = self.find_slots()
            {
                return exchange.into_answers(Some(why));
            }
            self.send_unsent(&mut exchange);
            exchange.give_up_overtaken();
        }
        exchange.into_answers(None)
    }

    /// Sends what is unsent to all servers, and only then reads their answers, so that the servers work side by side.
    fn send_unsent(&mut self, exchange: &mut Exchange<'_>) {
        let mut by_link = exchange.take_unsent(|slot| self.slots.get(slot).copied().unwrap_or(0));
        by_link.retain(|&link, sendings| {
            let failure = match self.send(exchange.commands, link, sendings) {
                Ok(()) => return true,
                Err(failure) => failure,
            };
            for &Sending { command, .. } in &*sendings {
                match &failure {
                    // Another server may have its slots by now.
                    StoreError::NoEffect(why) if self.is_cluster() => {
                        self.is_outdated = true;
                        exchange.send_again(command, None, why);
                    }
                    failure => exchange.answer(command, Err(failure.clone())),
                }
            }
            false
        });
        for (link, sendings) in by_link {
            for sending in sendings {
                let verdict = self.receive(link, sending);
                self.follow(verdict, link, sending.command, exchange);
            }
        }
    }

    fn send(
        &mut self,
        commands: &Commands,
        link: usize,
        sendings: &[Sending],
    ) -> Result<(), StoreError> {
        let mut bytes = Vec::new();
        for sending in sendings {
            if sending.asking.is_some() {
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

    fn receive(&mut self, link: usize, sending: Sending) -> Verdict {
        let is_cluster = self.is_cluster();
        let link = &mut self.links[link];
        let answer_to_asking = match sending.asking {
            Some(_) => link.receive().map(drop),
            None => Ok(()),
        };
        match answer_to_asking.and_then(|()| link.receive()) {
            Ok(Value::ServerError(error)) => {
                Verdict::on(&error, link.name(), link.host(), is_cluster)
            }
            Ok(value) => Verdict::Final(Ok(value)),
            Err(why) => Verdict::Final(Err(StoreError::MayHaveTakenEffect(why))),
        }
    }

    /// Does with a command what the verdict on it says.
    fn follow(
        &mut self,
        verdict: Verdict,
        link: usize,
        command: usize,
        exchange: &mut Exchange<'_>,
    ) {
        match verdict {
            Verdict::Final(answer) => exchange.answer(command, answer),
            Verdict::Moved(host, port) => {
                self.slots[exchange.commands.slot(command)] = self.link_to_address(&host, port);
                exchange.send_again(command, None, MOVED_TOO_OFTEN);
            }
            Verdict::Ask(host, port) => {
                let link = self.link_to_address(&host, port);
                exchange.send_again(command, Some(link), MOVED_TOO_OFTEN);
            }
            Verdict::NoScript => {
                self.links[link].knows_scripts = false;
                exchange.send_again(command, None, "the server does not keep its scripts");
            }
            Verdict::Elsewhere(why) => {
                self.is_outdated = self.is_cluster();
                exchange.send_again(command, None, &why);
            }
            Verdict::Demoted(why) => {
                self.links[link].give_up();
                exchange.answer(command, Err(StoreError::NoEffect(why)));
            }
        }
    }

    fn is_cluster(&self) -> bool {
        !self.slots.is_empty()
    }

    /// Asks one known server after the other where the slots are, until one says so.
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

    /// The rule by which the server forgets live sessions when its memory is full; `None` if it forgets none, or does
    /// not say.
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

    /// Waits until enough replicas hold what the node has sent since [`Servers::forget_used`].
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

    /// Starts a batch: replicas need to hold only what the node sends from here on.
    pub fn forget_used(&mut self) {
        self.used.clear();
    }

    /// The links to the servers that together hold all keys.
    pub fn primaries(&mut self) -> Result<Vec<usize>, StoreError> {
        if self.is_outdated {
            self.find_slots().map_err(StoreError::NoEffect)?;
        }
        let mut links = self.slots.clone();
        links.sort_unstable();
        links.dedup();
        Ok(if links.is_empty() { vec![0] } else { links })
    }

    /// Sends one server a command that concerns no key.
    pub fn ask(&mut self, link: usize, command: &Cmd) -> Result<Value, String> {
        self.links[link].ask(&self.options, command)
    }
}

fn host_and_port(info: &ConnectionInfo) -> Option<(&str, u16)> {
    match info.addr() {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
            Some((host, *port))
        }
        _ => None,
    }
}
