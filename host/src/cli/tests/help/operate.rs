//! What the verbs say of themselves that work on topics and on running hosts.

use super::help;

#[test]
fn help_of_topics() {
    insta::assert_snapshot!(help(&["topics"]), @r"
    Make the broker's topics what app.toml says

    Usage: fnhost topics [OPTIONS] <COMMAND>

    Commands:
      plan   Print what would change, and change nothing
      apply  Make topics and change their configuration; nothing is ever deleted
      help   Print this message or the help of the given subcommand(s)

    Options:
      -h, --help
              Print help (see a summary with '-h')

    Logging:
          --log-format <FORMAT>
              How log lines are written

              Possible values:
              - text: For people
              - json: A JSON object a line

              [env: FNHOST_LOG_FORMAT=]
              [default: text]

      -v, --verbose...
              Log more: -v for what happens to batches, -vv for every event
    ");
    insta::assert_snapshot!(help(&["topics", "apply"]), @r#"
    Make topics and change their configuration; nothing is ever deleted

    Usage: fnhost topics apply [OPTIONS] <--brokers <HOST:PORT,…>|--embedded <FILE>> <APP>

    Arguments:
      <APP>
              The app: its folder, or its app.toml

              [env: FNHOST_APP=]

    Options:
          --grow
              Add partitions to topics that functions read. Keys then map to other partitions, and
              functions do not find the state that they wrote under them

      -h, --help
              Print help (see a summary with '-h')

    Broker:
          --brokers <HOST:PORT,…>
              Where Kafka is: one broker or more to begin with

              [env: FNHOST_BROKERS=]

          --kafka <KEY=VALUE>
              A client property of librdkafka; may be given again, and holds over those of a file

              [env: FNHOST_KAFKA]

          --kafka-file <FILE>
              A file of client properties, a KEY=VALUE a line: the place for passwords

              [env: FNHOST_KAFKA_FILE=]

          --embedded <FILE>
              In place of a Kafka, a broker within this process over one file, which is made when it is
              missing. Durable, and not for production

              [env: FNHOST_EMBEDDED=]

    Logging:
          --log-format <FORMAT>
              How log lines are written

              Possible values:
              - text: For people
              - json: A JSON object a line

              [env: FNHOST_LOG_FORMAT=]
              [default: text]

      -v, --verbose...
              Log more: -v for what happens to batches, -vv for every event
    "#);
}

#[test]
fn help_of_events() {
    insta::assert_snapshot!(help(&["events", "tail"]), @r#"
    Print the committed events of a topic, a line each: time, partition@offset, key, value

    Ends when all that is there was printed; with --follow, at Ctrl-C.

    Usage: fnhost events tail [OPTIONS] <TOPIC>

    Arguments:
      <TOPIC>
              The topic

    Options:
          --from <PLACE>
              Where to begin: `earliest`, `latest`, an offset for every partition, or PARTITION:OFFSET,…

              `earliest` when left out, with --follow and no --since `latest`.

          --since <TIME>
              Only events from this time on: `10m` ago, or 2026-11-21T10:00:00Z. What is older is read
              over, from --from on

      -f, --follow
              Print what comes later too, until Ctrl-C

          --key <KEY>
              Only events with this key

          --limit <N>
              At most this many events

          --full
              Whole lines, headers too. Without it a line ends with the terminal, elsewhere after 200
              characters

          --format <FORMAT>
              How they are printed: as JSON, a line each, as `events send` takes them

              Possible values:
              - text: For people
              - json: For programs: JSON

              [default: text]

          --admin <HOST:PORT>
              The host: where it serves operators, as its own --admin says

              [env: FNHOST_ADMIN=]
              [default: 127.0.0.1:9090]

      -h, --help
              Print help (see a summary with '-h')

    HTTP:
          --admin-token-file <FILE>
              What operators have to show: a file with at least 16 bytes, or in FNHOST_ADMIN_TOKEN.
              Health and metrics need none

              [env: FNHOST_ADMIN_TOKEN_FILE=]

    Logging:
          --log-format <FORMAT>
              How log lines are written

              Possible values:
              - text: For people
              - json: A JSON object a line

              [env: FNHOST_LOG_FORMAT=]
              [default: text]

      -v, --verbose...
              Log more: -v for what happens to batches, -vv for every event
    "#);
    insta::assert_snapshot!(help(&["events", "send"]), @r#"
    Send events to a topic

    FILE holds events as `events tail --format json` prints them, or CloudEvents, whose subject becomes
    the key: one document, a list, or one document after the other. All are read before the first is
    sent; they are sent in order, and none after one that failed. What they say of topic, partition,
    offset and time is not looked at.

    Usage: fnhost events send [OPTIONS] <TOPIC> <FILE>

    Arguments:
      <TOPIC>
              The topic

      <FILE>
              The events; `-` is stdin

    Options:
          --key <KEY>
              The key of each, whatever the file says

          --header <NAME=VALUE>
              A header more for each; may be given again

          --format <FORMAT>
              How it is printed where they lie: as JSON, a line each

              Possible values:
              - text: For people
              - json: For programs: JSON

              [default: text]

          --admin <HOST:PORT>
              The host: where it serves operators, as its own --admin says

              [env: FNHOST_ADMIN=]
              [default: 127.0.0.1:9090]

      -h, --help
              Print help (see a summary with '-h')

    HTTP:
          --admin-token-file <FILE>
              What operators have to show: a file with at least 16 bytes, or in FNHOST_ADMIN_TOKEN.
              Health and metrics need none

              [env: FNHOST_ADMIN_TOKEN_FILE=]

    Logging:
          --log-format <FORMAT>
              How log lines are written

              Possible values:
              - text: For people
              - json: A JSON object a line

              [env: FNHOST_LOG_FORMAT=]
              [default: text]

      -v, --verbose...
              Log more: -v for what happens to batches, -vv for every event
    "#);
}

#[test]
fn help_of_status() {
    insta::assert_snapshot!(help(&["status"]), @r#"
    Print whether a running host is ready, and its functions with version, partitions and lag

    Lag is how many offsets lie before a function's group, on all hosts together. Ends with 1 when the
    host is not ready.

    Usage: fnhost status [OPTIONS]

    Options:
          --admin <HOST:PORT>
              The host: where it serves operators, as its own --admin says

              [env: FNHOST_ADMIN=]
              [default: 127.0.0.1:9090]

          --format <FORMAT>
              How it is printed

              Possible values:
              - text: For people
              - json: For programs: JSON

              [default: text]

          --watch [<SECONDS>]
              Print it again every SECONDS, with events per second, until Ctrl-C

              2 when left out. A terminal is written over; elsewhere there is a block, or a line of
              JSON, each time. A host that goes away is waited for.

      -h, --help
              Print help (see a summary with '-h')

    HTTP:
          --admin-token-file <FILE>
              What operators have to show: a file with at least 16 bytes, or in FNHOST_ADMIN_TOKEN.
              Health and metrics need none

              [env: FNHOST_ADMIN_TOKEN_FILE=]

    Logging:
          --log-format <FORMAT>
              How log lines are written

              Possible values:
              - text: For people
              - json: A JSON object a line

              [env: FNHOST_LOG_FORMAT=]
              [default: text]

      -v, --verbose...
              Log more: -v for what happens to batches, -vv for every event
    "#);
}

#[test]
fn help_of_deploy() {
    insta::assert_snapshot!(help(&["deploy"]), @r#"
    Have every host handle its next batch with this component

    The component is compiled, linked and instantiated before anything is changed, and nothing that
    reaches more than the active version is taken unasked. The swap needs no restart: a batch that is
    open keeps the version that it began with.

    Usage: fnhost deploy [OPTIONS] <FUNCTION> <FILE.wasm>

    Arguments:
      <FUNCTION>
              The function

      <FILE.wasm>
              The component

    Options:
          --note <TEXT>
              What is to be said of it

          --scenarios <APP|FUNCTION>
              Run the function's scenarios through it first: the app's folder, or the function's

          --allow-wider
              Take it although it reaches more than the active version, or calls itself something else

          --shadow
              Run it beside the active version, which stays: what it does goes nowhere, and `fnhost
              shadow` shows what differs

          --dry-run
              Go through every step and change nothing

          --format <FORMAT>
              How it is printed

              Possible values:
              - text: For people
              - json: For programs: JSON

              [default: text]

          --admin <HOST:PORT>
              The host: where it serves operators, as its own --admin says

              [env: FNHOST_ADMIN=]
              [default: 127.0.0.1:9090]

      -h, --help
              Print help (see a summary with '-h')

    HTTP:
          --admin-token-file <FILE>
              What operators have to show: a file with at least 16 bytes, or in FNHOST_ADMIN_TOKEN.
              Health and metrics need none

              [env: FNHOST_ADMIN_TOKEN_FILE=]

    Logging:
          --log-format <FORMAT>
              How log lines are written

              Possible values:
              - text: For people
              - json: A JSON object a line

              [env: FNHOST_LOG_FORMAT=]
              [default: text]

      -v, --verbose...
              Log more: -v for what happens to batches, -vv for every event
    "#);
}

#[test]
fn help_of_shadow() {
    insta::assert_snapshot!(help(&["shadow"]), @r#"
    Print what a candidate beside the active version would have done, or make it the active version, or
    take it away

    `fnhost deploy --shadow` puts a candidate there: on every host it handles the same events from the
    same state, and what it does goes nowhere. Counts and examples are of the host that is asked, since
    the candidate came to it.

    Usage: fnhost shadow [OPTIONS] <FUNCTION>

    Arguments:
      <FUNCTION>
              The function

    Options:
          --promote <DIGEST>
              Have every host handle its next batch with this candidate, by the first digits of its
              digest

          --discard <DIGEST>
              Take this candidate away

          --note <TEXT>
              What is to be said of it as the active version; what was said of the candidate when left
              out

          --format <FORMAT>
              How it is printed

              Possible values:
              - text: For people
              - json: For programs: JSON

              [default: text]

          --admin <HOST:PORT>
              The host: where it serves operators, as its own --admin says

              [env: FNHOST_ADMIN=]
              [default: 127.0.0.1:9090]

      -h, --help
              Print help (see a summary with '-h')

    HTTP:
          --admin-token-file <FILE>
              What operators have to show: a file with at least 16 bytes, or in FNHOST_ADMIN_TOKEN.
              Health and metrics need none

              [env: FNHOST_ADMIN_TOKEN_FILE=]

    Logging:
          --log-format <FORMAT>
              How log lines are written

              Possible values:
              - text: For people
              - json: A JSON object a line

              [env: FNHOST_LOG_FORMAT=]
              [default: text]

      -v, --verbose...
              Log more: -v for what happens to batches, -vv for every event
    "#);
}

#[test]
fn help_of_rollback() {
    insta::assert_snapshot!(help(&["rollback"]), @r#"
    Have every host go back to a version that was active before

    Usage: fnhost rollback [OPTIONS] <FUNCTION> [DIGEST]

    Arguments:
      <FUNCTION>
              The function

      [DIGEST]
              The version, by the first digits of its digest; the one that was active before when left
              out

    Options:
          --format <FORMAT>
              How it is printed

              Possible values:
              - text: For people
              - json: For programs: JSON

              [default: text]

          --admin <HOST:PORT>
              The host: where it serves operators, as its own --admin says

              [env: FNHOST_ADMIN=]
              [default: 127.0.0.1:9090]

      -h, --help
              Print help (see a summary with '-h')

    HTTP:
          --admin-token-file <FILE>
              What operators have to show: a file with at least 16 bytes, or in FNHOST_ADMIN_TOKEN.
              Health and metrics need none

              [env: FNHOST_ADMIN_TOKEN_FILE=]

    Logging:
          --log-format <FORMAT>
              How log lines are written

              Possible values:
              - text: For people
              - json: A JSON object a line

              [env: FNHOST_LOG_FORMAT=]
              [default: text]

      -v, --verbose...
              Log more: -v for what happens to batches, -vv for every event
    "#);
}

#[test]
fn help_of_versions() {
    insta::assert_snapshot!(help(&["versions"]), @r#"
    Print what was deployed of a function, the version last made active first

    Usage: fnhost versions [OPTIONS] <FUNCTION>

    Arguments:
      <FUNCTION>
              The function

    Options:
          --format <FORMAT>
              How it is printed

              Possible values:
              - text: For people
              - json: For programs: JSON

              [default: text]

          --admin <HOST:PORT>
              The host: where it serves operators, as its own --admin says

              [env: FNHOST_ADMIN=]
              [default: 127.0.0.1:9090]

      -h, --help
              Print help (see a summary with '-h')

    HTTP:
          --admin-token-file <FILE>
              What operators have to show: a file with at least 16 bytes, or in FNHOST_ADMIN_TOKEN.
              Health and metrics need none

              [env: FNHOST_ADMIN_TOKEN_FILE=]

    Logging:
          --log-format <FORMAT>
              How log lines are written

              Possible values:
              - text: For people
              - json: A JSON object a line

              [env: FNHOST_LOG_FORMAT=]
              [default: text]

      -v, --verbose...
              Log more: -v for what happens to batches, -vv for every event
    "#);
}

#[test]
fn help_of_remove() {
    insta::assert_snapshot!(help(&["remove"]), @r#"
    Forget what was deployed of a function: every host runs the app's own component again

    Usage: fnhost remove [OPTIONS] <FUNCTION>

    Arguments:
      <FUNCTION>
              The function

    Options:
          --format <FORMAT>
              How it is printed

              Possible values:
              - text: For people
              - json: For programs: JSON

              [default: text]

          --admin <HOST:PORT>
              The host: where it serves operators, as its own --admin says

              [env: FNHOST_ADMIN=]
              [default: 127.0.0.1:9090]

      -h, --help
              Print help (see a summary with '-h')

    HTTP:
          --admin-token-file <FILE>
              What operators have to show: a file with at least 16 bytes, or in FNHOST_ADMIN_TOKEN.
              Health and metrics need none

              [env: FNHOST_ADMIN_TOKEN_FILE=]

    Logging:
          --log-format <FORMAT>
              How log lines are written

              Possible values:
              - text: For people
              - json: A JSON object a line

              [env: FNHOST_LOG_FORMAT=]
              [default: text]

      -v, --verbose...
              Log more: -v for what happens to batches, -vv for every event
    "#);
}
