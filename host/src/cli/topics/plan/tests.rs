use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::app::{Function, Limits, Retry, Source};
use crate::broker::From;

fn function(name: &str, input: &[&str], group: Option<&str>) -> Arc<Function> {
    Arc::new(Function {
        name: name.into(),
        source: Source::Crate(name.into()),
        input: input.iter().map(|topic| Arc::from(*topic)).collect(),
        output: Vec::new(),
        config: BTreeMap::new(),
        limits: Limits::default(),
        retry: Retry::default(),
        group: group.map(Into::into),
        from: From::Earliest,
    })
}

fn spec(partitions: i32, replication: Option<i32>) -> TopicSpec {
    TopicSpec {
        partitions,
        replication,
        retention: Duration::from_secs(60),
        message_bytes_max: 1_048_588,
        schema: None,
        validate: true,
    }
}

/// Functions `one` and `two` read `a`; `two` reads `b` as well. `error` is read by nobody.
fn app(a: TopicSpec, b: TopicSpec) -> App {
    let topics = [("a", a), ("b", b), (App::ERROR_TOPIC, spec(1, None))];
    App {
        name: "shop".into(),
        root: PathBuf::new(),
        topics: topics.into_iter().map(|(name, spec)| (name.into(), spec)).collect(),
        routes: Vec::new(),
        schedules: Vec::new(),
        functions: vec![function("one", &["a"], None), function("two", &["a", "b"], None)],
        workers: BTreeMap::new(),
    }
}

/// A broker, as far as topics go.
fn apply(changes: &[TopicChange], topics: &mut Vec<Topic>) {
    for change in changes {
        let there = topics.iter_mut().find(|topic| topic.name == change.topic());
        match (change, there) {
            (TopicChange::Create { name, partitions, replication, config }, None) => topics.push(Topic {
                name: name.clone(),
                partitions: *partitions,
                replication: replication.unwrap_or(1),
                config: config.clone(),
            }),
            (TopicChange::Grow { partitions, .. }, Some(topic)) => {
                assert!(*partitions > topic.partitions, "Kafka refuses {change:?}");
                topic.partitions = *partitions;
            }
            (TopicChange::Configure { config, .. }, Some(topic)) => topic.config.extend(config.clone()),
            (change, there) => panic!("{change:?} where {there:?}"),
        }
    }
}

fn topics(app: &App) -> Vec<Topic> {
    let mut topics = Vec::new();
    apply(&plan(app, &[], Inputs::Keep).changes, &mut topics);
    topics
}

#[test]
fn empty_broker_gets_every_topic_and_a_changelog_for_each_input() {
    let plan = plan(&app(spec(3, Some(2)), spec(3, None)), &[], Inputs::Keep);
    let lines: Vec<String> = plan.changes.iter().map(|change| crate::cli::topics::describe(change, &[])).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    create     a  3 partitions  replication 2  cleanup.policy=delete  max.message.bytes=1048588  retention.ms=60000
    create     b  3 partitions  cleanup.policy=delete  max.message.bytes=1048588  retention.ms=60000
    create     error  1 partitions  cleanup.policy=delete  max.message.bytes=1048588  retention.ms=60000
    create     shop.one.a.state  3 partitions  replication 2  cleanup.policy=compact
    create     shop.two.a.state  3 partitions  replication 2  cleanup.policy=compact
    create     shop.two.b.state  3 partitions  cleanup.policy=compact
    create     shop.deployments  2 partitions  cleanup.policy=compact
    "#);
    assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
}

#[test]
fn configuration_that_differs_is_set_and_the_rest_left_alone() {
    let app = app(spec(3, None), spec(3, None));
    let mut topics = topics(&app);
    let a = topics.iter_mut().find(|topic| topic.name == "a").unwrap();
    a.config.insert("retention.ms".into(), "1".into());
    a.config.insert("min.insync.replicas".into(), "2".into());
    let plan = plan(&app, &topics, Inputs::Keep);
    let config = [("retention.ms".to_owned(), "60000".to_owned())].into();
    assert_eq!(plan.changes, [TopicChange::Configure { name: "a".into(), config }]);
    assert_eq!(crate::cli::topics::describe(&plan.changes[0], &topics), "configure  a  retention.ms 1 -> 60000");
}

#[test]
fn input_grows_with_its_changelogs_only_when_asked_for() {
    let small = topics(&app(spec(3, None), spec(3, None)));
    let large = app(spec(6, None), spec(6, None));
    let kept = plan(&large, &small, Inputs::Keep);
    assert_eq!(kept.changes, []);
    insta::assert_snapshot!(kept.warnings.join("\n"), @r"
    topic `a` has 3 partitions, not 6: more of them would move keys away from the state that functions wrote under them; --grow adds them all the same
    topic `b` has 3 partitions, not 6: more of them would move keys away from the state that functions wrote under them; --grow adds them all the same
    ");
    let grown = plan(&large, &small, Inputs::Grow);
    let lines: Vec<String> = grown.changes.iter().map(|change| crate::cli::topics::describe(change, &small)).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    grow       a  3 -> 6 partitions
    grow       b  3 -> 6 partitions
    grow       shop.one.a.state  3 -> 6 partitions
    grow       shop.two.a.state  3 -> 6 partitions
    grow       shop.two.b.state  3 -> 6 partitions
    ");
    assert!(grown.warnings.is_empty(), "{:?}", grown.warnings);
}

#[test]
fn changelog_and_unread_topic_grow_without_being_asked() {
    let app = app(spec(3, None), spec(3, None));
    let mut topics = topics(&app);
    let shrunk = topics.iter_mut().filter(|topic| topic.name == "shop.one.a.state");
    shrunk.for_each(|topic| topic.partitions = 1);
    let mut wider = app;
    wider.topics.insert(App::ERROR_TOPIC.into(), spec(2, None));
    let plan = plan(&wider, &topics, Inputs::Keep);
    let grow = |name: &str, partitions| TopicChange::Grow { name: name.into(), partitions };
    assert_eq!(plan.changes, [grow("error", 2), grow("shop.one.a.state", 3)]);
}

#[test]
fn fewer_partitions_and_other_replication_are_warnings() {
    let large = topics(&app(spec(6, Some(3)), spec(6, None)));
    let plan = plan(&app(spec(3, Some(2)), spec(3, None)), &large, Inputs::Grow);
    assert_eq!(plan.changes, []);
    insta::assert_snapshot!(plan.warnings.join("\n"), @r"
    topic `a` has 6 partitions, not 3: Kafka takes none away
    topic `a` has replication 3, not 2: change that with kafka-reassign-partitions.sh
    topic `b` has 6 partitions, not 3: Kafka takes none away
    topic `shop.one.a.state` has replication 3, not 2: change that with kafka-reassign-partitions.sh
    topic `shop.two.a.state` has replication 3, not 2: change that with kafka-reassign-partitions.sh
    ");
}

#[test]
fn changelog_has_the_partitions_that_its_input_keeps() {
    let mut topics = topics(&app(spec(6, None), spec(6, None)));
    topics.retain(|topic| topic.name != "shop.one.a.state");
    let plan = plan(&app(spec(3, None), spec(3, None)), &topics, Inputs::Keep);
    let create = plan.changes.iter().find(|change| change.topic() == "shop.one.a.state");
    assert!(matches!(create, Some(TopicChange::Create { partitions: 6, .. })), "{create:?}");
}

#[test]
fn group_whose_topics_stay_uneven_is_a_warning() {
    let mut topics = topics(&app(spec(6, None), spec(6, None)));
    topics.retain(|topic| topic.name == "b");
    let plan = plan(&app(spec(3, None), spec(3, None)), &topics, Inputs::Keep);
    let warning = plan.warnings.last().unwrap();
    assert_eq!(warning, "group `shop` needs as many partitions in each topic it reads, but `a` 3, `b` 6");
}

prop_compose! {
    fn any_spec()(partitions in 1..9, replication in prop::option::of(1..4), seconds in 1..4u64, kib in 1..4u64)
        -> TopicSpec {
        TopicSpec { retention: Duration::from_secs(seconds), message_bytes_max: kib << 10, ..spec(partitions, replication) }
    }
}

prop_compose! {
    fn any_topic(name: String)(
        name in Just(name),
        partitions in 1..9,
        replication in 1..4,
        policy in prop::option::of(prop::sample::select(vec!["delete", "compact"])),
        retention in prop::option::of(1..4u64),
    ) -> Topic {
        let policy = policy.map(|policy| ("cleanup.policy".to_owned(), policy.to_owned()));
        let retention = retention.map(|seconds| ("retention.ms".to_owned(), (seconds * 1000).to_string()));
        Topic { name, partitions, replication, config: policy.into_iter().chain(retention).collect() }
    }
}

fn any_topics() -> impl Strategy<Value = Vec<Topic>> {
    let names = names(&app(spec(1, None), spec(1, None))).into_iter().collect::<Vec<_>>();
    prop::sample::subsequence(names.clone(), 0..=names.len())
        .prop_flat_map(|names| names.into_iter().map(any_topic).collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn once_applied_nothing_is_left_to_change(
        a in any_spec(),
        b in any_spec(),
        existing in any_topics(),
        inputs in prop::sample::select(vec![Inputs::Grow, Inputs::Keep]),
    ) {
        let app = app(a, b);
        let mut topics = existing.clone();
        apply(&plan(&app, &existing, inputs).changes, &mut topics);
        prop_assert_eq!(plan(&app, &topics, inputs).changes, vec![]);
        // Every changelog can be restored: it has the partitions of its input.
        let count = |name: &str| topics.iter().find(|topic| topic.name == name).map(|topic| topic.partitions);
        for (changelog, input) in app.changelogs() {
            let spare = existing.iter().any(|topic| topic.name == changelog && Some(topic.partitions) > count(&input));
            prop_assert!(spare || count(&changelog) == count(&input), "{} {:?}", changelog, topics);
        }
    }
}
