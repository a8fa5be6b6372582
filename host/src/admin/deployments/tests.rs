use std::collections::BTreeMap;

use super::*;
use crate::admin::status::{SILENCE_MAX, uptime};
use crate::app::App;
use crate::broker::embedded::{Embedded, Options};
use crate::broker::{Broker, TopicChange};
use crate::deploy::book::{Candidate, Module};
use crate::deploy::record;

const OURS: &[u8] = b"ours";
const THEIRS: &[u8] = b"theirs";

/// Takes whatever it is given, and meanwhile somebody else deploys through another host.
struct Overtaken(Ledger);

impl Stage for Overtaken {
    fn stage(&self, function: &str, _: Digest, _: &[u8]) -> Result<Staged, Refused> {
        let digest = Digest::of(THEIRS);
        let candidate = Candidate { digest, bytes: 6, note: String::new(), state_format: None };
        let written = self.0.write(0, |book, layout| {
            let module: Module = layout.bring(book, digest, THEIRS);
            book.deploy(function, candidate, module, None, 1)
        });
        written.unwrap();
        Ok(Staged { grants: BTreeSet::new(), state_format: String::new(), source: None })
    }

    fn own_grants(&self, _: &str) -> BTreeSet<String> {
        BTreeSet::new()
    }

    fn own(&self, _: &str) -> Option<Own> {
        None
    }
}

#[test]
fn a_deployment_that_was_compiled_while_somebody_else_deployed_is_refused_and_theirs_stays() {
    let broker = Embedded::temporary(&Options::default()).unwrap();
    let (topic, config) = ("shop.deployments".to_owned(), BTreeMap::new());
    let partitions = record::PARTITIONS;
    broker.apply(&[TopicChange::Create { name: topic.clone(), partitions, replication: None, config }]).unwrap();
    let ledger = || Ledger::new(Arc::clone(&broker) as Arc<dyn Broker>, topic.as_str().into());
    let app = App {
        name: "shop".to_owned(),
        root: Default::default(),
        topics: BTreeMap::new(),
        routes: Vec::new(),
        schedules: Vec::new(),
        functions: Vec::new(),
        workers: BTreeMap::new(),
    };
    let deployments = Deployments {
        functions: ["greeter".to_owned()].into(),
        ledger: Arc::new(ledger()),
        deploy: Arc::new(Deploy::new(BTreeMap::new())),
        stage: Arc::new(Overtaken(ledger())),
        nudge: Arc::default(),
        status: Status::new(&app, SILENCE_MAX, uptime()),
        slot: Semaphore::new(1),
        follows: true,
    };
    let refused = deployments.deploy("greeter", &Asked::default(), OURS, Digest::of(OURS)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "somebody else changed `greeter` meanwhile: look at what they did (fnhost versions greeter), then ask again"
    );
    deployments.ledger.catch_up().unwrap();
    let book = deployments.ledger.book();
    assert_eq!(book.function("greeter").and_then(|known| known.active), Some(Digest::of(THEIRS)));

    // Nobody follows here, and nothing says that it could not be done.
    let refused = deployments.deploy("greeter", &Asked::default(), OURS, Digest::of(OURS)).unwrap_err();
    assert!(refused.to_string().starts_with("this host does not run the newest deployment yet"), "{refused}");
}
