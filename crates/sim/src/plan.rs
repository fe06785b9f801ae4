//! What happens to a cluster, and when: all of it told by a seed before it begins.
//!
//! **Invariants.** A plan without some of its steps is a plan: each step holds all it needs, and
//! one that fits nothing that is there does nothing. That is what lets a failing plan be shrunk.
//!
//! **Must not know:** how a step is carried out.

use std::fmt;

use crate::{load::Call, rng::Rng};

/// The day that clocks differ by at most, in milliseconds.
pub const DAY_MS: u64 = 86_400_000;
/// Hosts that a cluster ever has, at most.
pub const HOSTS_MAX: usize = 9;

/// What is true of the whole run.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Nodes that begin as writers.
    pub writers: usize,
    /// Nodes that begin as read replicas.
    pub replicas: usize,
    /// What a frame takes from node to node, at least and at most, in milliseconds.
    pub delay_ms: (u64, u64),
    /// What a flush takes, at least and at most, in milliseconds.
    pub flush_ms: (u64, u64),
    /// Whether replicas may be joined and nodes removed.
    pub churn: bool,
}

/// A step: what happens to hosts, which are counted from 0; a number beyond counts round.
#[derive(Clone, Debug)]
pub enum Step {
    /// A client calls.
    Call {
        /// Which host.
        at: usize,
        /// What.
        call: Call,
    },
    /// Many long transactions are made at once.
    Flood {
        /// Which host.
        at: usize,
        /// How many.
        calls: u64,
        /// Names them.
        random: u64,
    },
    /// A client waits.
    Wait {
        /// At which host.
        at: usize,
        /// Chooses the scope and the stage.
        random: u64,
        /// For how long.
        for_ms: u64,
    },
    /// A host dies, and its disk keeps some of what was not flushed.
    Crash {
        /// Which.
        at: usize,
        /// How many unflushed records are kept, modulo their number plus one.
        keep: u64,
        /// When it starts again.
        down_ms: u64,
    },
    /// Nothing goes from one host to another.
    Cut {
        /// From.
        from: usize,
        /// To.
        to: usize,
    },
    /// What one bit a host tells apart is cut off from each other, in both directions.
    Split {
        /// The bits.
        sides: u64,
    },
    /// No cut is left.
    Mend,
    /// The stream between two hosts breaks.
    Break {
        /// One.
        a: usize,
        /// The other.
        b: usize,
    },
    /// The next batch from one to the other comes twice.
    Double {
        /// From.
        from: usize,
        /// To.
        to: usize,
    },
    /// The next batch from one to the other comes after what is sent later.
    Delay {
        /// From.
        from: usize,
        /// To.
        to: usize,
        /// By how much.
        by_ms: u64,
    },
    /// A wall clock is set.
    SetClock {
        /// Whose.
        at: usize,
        /// Milliseconds ahead of true time, plus a day.
        ahead_ms: u64,
    },
    /// Flushes of a host take long.
    SlowDisk {
        /// Whose.
        at: usize,
        /// For how long.
        for_ms: u64,
    },
    /// A node joins.
    Join {
        /// Whether it is a writer.
        writer: bool,
    },
    /// A node is removed.
    Remove {
        /// Which.
        at: usize,
    },
    /// A machine and its disk are gone for good, and its node is removed for it.
    Destroy {
        /// Which.
        at: usize,
    },
}

/// Damage to a host's state, once everything else is over.
#[derive(Clone, Debug)]
pub struct Damage {
    /// Whose.
    pub at: usize,
    /// Chooses what is damaged, and how.
    pub random: u64,
    /// What goes on meanwhile, by time in milliseconds since, ascending.
    pub steps: Vec<(u64, Step)>,
}

/// A whole run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What also decides delays and the like.
    pub seed: u64,
    /// What is true throughout.
    pub setting: Setting,
    /// By time in milliseconds, ascending.
    pub steps: Vec<(u64, Step)>,
    /// What is damaged afterwards.
    pub damage: Option<Damage>,
}

impl Plan {
    /// The plan of a seed.
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let slow = rng.percent(20);
        let setting = Setting {
            writers: 2 + rng.index(3),
            replicas: rng.index(3),
            delay_ms: if slow { (5, 150) } else { (0, 1 + rng.below(20)) },
            flush_ms: (1, 1 + rng.below(30)),
            churn: rng.percent(60),
        };
        let length_ms = rng.between(5_000, 40_000);
        let count = rng.between(20, 160);
        let flood = rng.percent(4).then(|| rng.below(count));
        let mut steps: Vec<(u64, Step)> = (0..count)
            .map(|number| {
                let at_ms = rng.below(length_ms);
                let step = if flood == Some(number) {
                    Step::Flood { at: rng.index(HOSTS_MAX), calls: 400, random: rng.number() }
                } else {
                    step(&mut rng, &setting)
                };
                (at_ms, step)
            })
            .collect();
        steps.sort_by_key(|(at_ms, _)| *at_ms);
        Self { seed, setting, steps, damage: Damage::of(seed) }
    }
}

impl Damage {
    /// A part of all seeds has one.
    fn of(seed: u64) -> Option<Self> {
        let mut rng = Rng::new(seed ^ 0x4441_4D41_4745);
        if !rng.percent(40) {
            return None;
        }
        let (at, random) = (rng.index(HOSTS_MAX), rng.number());
        let mut steps = Vec::new();
        for _ in 0..rng.below(20) {
            let host = rng.index(HOSTS_MAX);
            let step = match rng.below(20) {
                0 => Step::Crash { at: host, keep: rng.number(), down_ms: rng.below(300) },
                1 | 2 => Step::Break { a: at, b: host },
                _ => Step::Call { at: host, call: Call::some(&mut rng) },
            };
            steps.push((rng.below(4_000), step));
        }
        steps.sort_by_key(|(at_ms, _)| *at_ms);
        Some(Self { at, random, steps })
    }
}

fn step(rng: &mut Rng, setting: &Setting) -> Step {
    let (at, other) = (rng.index(HOSTS_MAX), rng.index(HOSTS_MAX));
    match rng.below(100) {
        0..46 => Step::Call { at, call: Call::some(rng) },
        46..58 => Step::Wait { at, random: rng.number(), for_ms: rng.between(1, 8_000) },
        58..66 => {
            let down_ms = if rng.percent(30) { rng.between(1, 12_000) } else { rng.below(300) };
            Step::Crash { at, keep: rng.number(), down_ms }
        }
        66..72 => Step::Cut { from: at, to: other },
        72..75 => Step::Split { sides: rng.number() },
        75..80 => Step::Mend,
        80..84 => Step::Break { a: at, b: other },
        84..86 => Step::Double { from: at, to: other },
        86..90 => Step::Delay { from: at, to: other, by_ms: rng.between(1, 2_000) },
        90..93 => Step::SetClock { at, ahead_ms: rng.below(2 * DAY_MS) },
        93..96 => Step::SlowDisk { at, for_ms: rng.between(100, 5_000) },
        96..98 if setting.churn => Step::Join { writer: rng.percent(50) },
        98 if setting.churn => Step::Remove { at },
        99 if setting.churn => Step::Destroy { at },
        _ => Step::Call { at, call: Call::some(rng) },
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, setting, steps, damage } = self;
        writeln!(f, "seed {seed}: {setting:?}")?;
        steps.iter().try_for_each(|(at_ms, step)| writeln!(f, "{at_ms:>7} ms  {step:?}"))?;
        damage.iter().try_for_each(|damage| writeln!(f, "then {damage:?}"))
    }
}
