//! What is to be measured, from the command line.

const PARTS: [&str; 8] = ["throughput", "costs", "latency", "seeing", "start", "swaps", "idle", "embedded"];

/// Parts and numbers.
pub(crate) struct Asked {
    parts: Vec<String>,
    /// Orders a run.
    pub(crate) orders: usize,
    /// Runs of each kind.
    pub(crate) rounds: usize,
    /// Orders a second.
    pub(crate) rate: usize,
    /// How long orders are posted.
    pub(crate) seconds: usize,
    /// How often a host is started.
    pub(crate) starts: usize,
    /// How often a version takes the place of another.
    pub(crate) swaps: usize,
    /// How often a host is killed meanwhile.
    pub(crate) kills: usize,
    /// How many functions a host has.
    pub(crate) functions: usize,
}

impl Asked {
    /// `None` when cargo runs benches as tests: there is nothing to be tested.
    ///
    /// # Panics
    /// When an argument is none of those in the head of `main.rs`.
    pub(crate) fn from_arguments() -> Option<Self> {
        let mut asked = Self {
            parts: vec![],
            orders: 40_000,
            rounds: 3,
            rate: 200,
            seconds: 60,
            starts: 10,
            swaps: 1000,
            kills: 10,
            functions: 200,
        };
        let mut is_bench = false;
        for argument in std::env::args().skip(1) {
            match argument.split_once('=') {
                Some((key, value)) => *asked.number(key) = value.parse().unwrap(),
                None if argument == "--bench" => is_bench = true,
                None if PARTS.contains(&argument.as_str()) => {
                    asked.parts.push(argument);
                }
                None => panic!("`{argument}` is no part: see the head of benches/order_path/main.rs"),
            }
        }
        is_bench.then_some(asked)
    }

    /// Whether a part is to be measured.
    pub(crate) fn wants(&self, part: &str) -> bool {
        self.parts.is_empty() || self.names(part)
    }

    /// Whether a part was asked for by its name.
    pub(crate) fn names(&self, part: &str) -> bool {
        self.parts.iter().any(|wanted| wanted == part)
    }

    /// Whether anything is to be measured on Kafka.
    pub(crate) fn wants_kafka(&self) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|part| part != "embedded")
    }

    fn number(&mut self, key: &str) -> &mut usize {
        match key {
            "orders" => &mut self.orders,
            "rounds" => &mut self.rounds,
            "rate" => &mut self.rate,
            "seconds" => &mut self.seconds,
            "starts" => &mut self.starts,
            "swaps" => &mut self.swaps,
            "kills" => &mut self.kills,
            "functions" => &mut self.functions,
            _ => panic!("`{key}` is no key: see the head of benches/order_path/main.rs"),
        }
    }
}
