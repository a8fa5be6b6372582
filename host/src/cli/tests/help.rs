//! Every verb's help.

use clap::CommandFactory;

use crate::cli::Cli;

mod new;
mod operate;

/// The help of a verb, as a terminal of 100 columns shows it.
fn help(verbs: &[&str]) -> String {
    let mut command = Cli::command().term_width(100);
    command.build();
    let mut command = verbs.iter().fold(command, |command, verb| {
        command.find_subcommand(verb).cloned().unwrap_or_else(|| panic!("no verb {verb}"))
    });
    let help = command.render_long_help().to_string();
    help.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[test]
fn help_of_fnhost() {
    insta::assert_snapshot!(help(&[]), @r#"
    Runs event handlers as sandboxed WebAssembly components on Apache Kafka, one transaction an event

    Usage: fnhost [OPTIONS] <COMMAND>

    Commands:
      demo         Show orders flowing: everything in one process, nothing to install
      new          Make an app, or a function in one, that builds and runs as it is
      dev          Run apps while you write them: rebuild and swap in what changed
      run          Run an app until it is told to stop
      build        Build the component of each function with cargo
      check        Check an app: its manifest, its schemas, and each component against the contract
      test         Run the scenarios of an app or a function, without a broker
      invoke       Hand one event to a function, and print what becomes of it
      topics       Make the broker's topics what app.toml says
      events       Print the events of a topic, or send some, through a running host
      deploy       Have every host handle its next batch with this component
      shadow       Print what a candidate beside the active version would have done, or make it the
                   active version, or take it away
      rollback     Have every host go back to a version that was active before
      versions     Print what was deployed of a function, the version last made active first
      remove       Forget what was deployed of a function: every host runs the app's own component again
      status       Print whether a running host is ready, and its functions with version, partitions and
                   lag
      completions  Print what a shell needs to complete fnhost's command lines
      man          Write fnhost's man pages, one a verb
      help         Print this message or the help of the given subcommand(s)

    Options:
      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version

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

    Exit codes:
      0   done
      1   something to mend: the app, the configuration or the broker
      2   a command line that cannot be read
      70  a fault of fnhost itself
      130 Ctrl-C before it was done

    What is logged is FNHOST_LOG, such as FNHOST_LOG=info,fnhost=debug.
    "#);
}

#[test]
fn help_of_run() {
    insta::assert_snapshot!(help(&["run"]), @r#"
    Run an app until it is told to stop

    Serves the app's routes, joins its consumer groups and handles events, each exactly once. On SIGTERM
    or Ctrl-C it takes no more requests, commits the batches in hand and leaves.

    Usage: fnhost run [OPTIONS] <--brokers <HOST:PORT,…>|--embedded <FILE>> <APP>

    Arguments:
      <APP>
              The app: its folder, or its app.toml

              [env: FNHOST_APP=]

    Options:
          --instance <NAME>
              A name for this process that outlives it and no other has: a restart then moves no
              partitions. Random when left out

              [env: FNHOST_INSTANCE=]

          --secret-file <FILE>
              The secret that functions' random numbers are derived from, the same for all hosts of an
              app: at least 16 bytes, or in FNHOST_SECRET. Drawn when left out

              [env: FNHOST_SECRET_FILE=]

          --cache <DIR>
              Where compiled components are kept from one start to the next. Not kept when left out

              [env: FNHOST_CACHE=]

          --drain-time <TIME>
              How long it may take to stop: requests and batches in hand are finished meanwhile

              [env: FNHOST_DRAIN_TIME=]
              [default: 20s]

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

    HTTP:
          --http <ADDR>
              Where the app's routes are served

              [env: FNHOST_HTTP=]
              [default: 127.0.0.1:8080]

          --admin <ADDR>
              Where health, metrics, functions, deployments and events are served. Anywhere else than on
              this machine it asks for a token

              [env: FNHOST_ADMIN=]
              [default: 127.0.0.1:9090]

          --admin-token-file <FILE>
              What operators have to show: a file with at least 16 bytes, or in FNHOST_ADMIN_TOKEN.
              Health and metrics need none

              [env: FNHOST_ADMIN_TOKEN_FILE=]

    Traces:
          --otlp-endpoint <URL>
              Where spans go: a collector that takes OTLP over HTTP, such as http://localhost:4318; or
              in OTEL_EXPORTER_OTLP_ENDPOINT. No spans are recorded when left out

              [env: FNHOST_OTLP_ENDPOINT]

          --trace-sample <RATIO>
              How many of the requests that come in no trace begin one that is recorded, from 0 to 1; or
              in OTEL_TRACES_SAMPLER_ARG. All when left out. Whoever began a trace decides for it

              [env: FNHOST_TRACE_SAMPLE=]

    Before it runs:
          --build
              Build the functions' components first, as `fnhost build` does

              [env: FNHOST_BUILD=]

          --apply-topics
              Make the app's topics first, as `fnhost topics apply` does

              [env: FNHOST_APPLY_TOPICS=]

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
fn help_of_build() {
    insta::assert_snapshot!(help(&["build"]), @r"
    Build the component of each function with cargo

    Runs `cargo build --release --target wasm32-wasip2` for the crates of the app and puts what comes
    out into APP/build/FUNCTION.wasm. Prints name, version, size and path of each.

    Usage: fnhost build [OPTIONS] <APP>

    Arguments:
      <APP>
              The app: its folder, or its app.toml

              [env: FNHOST_APP=]

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
}

#[test]
fn help_of_check() {
    insta::assert_snapshot!(help(&["check"]), @r"
    Check an app: its manifest, its schemas, and each component against the contract

    Usage: fnhost check [OPTIONS] <APP>

    Arguments:
      <APP>
              The app: its folder, or its app.toml

              [env: FNHOST_APP=]

    Options:
          --explain
              Print every value that holds, defaults too, as an app.toml

          --format <FORMAT>
              How it is printed

              Possible values:
              - text: For people
              - json: For programs: JSON

              [default: text]

          --cache <DIR>
              Where compiled components are kept from one start to the next. Not kept when left out

              [env: FNHOST_CACHE=]

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
}

#[test]
fn help_of_test() {
    insta::assert_snapshot!(help(&["test"]), @r#"
    Run the scenarios of an app or a function, without a broker

    Hands the events of each scenario to the function's component and compares what comes out with what
    is expected. Ends with 1 when a scenario fails.

    Usage: fnhost test [OPTIONS] <APP|FUNCTION>

    Arguments:
      <APP|FUNCTION>
              The app's folder, a function's folder, or APP/FUNCTION

              [env: FNHOST_APP=]

    Options:
          --filter <TEXT>
              Only scenarios with this in their name

          --bless
              Make what comes out the expectation, and name each file that was written

          --build
              Build the functions' components first, as `fnhost build` does

              [env: FNHOST_BUILD=]

          --format <FORMAT>
              How it is printed

              Possible values:
              - text: For people
              - json: For programs: JSON

              [default: text]

          --cache <DIR>
              Where compiled components are kept from one run to the next: APP/build/compiled when left
              out

              [env: FNHOST_CACHE=]

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

    A scenario is a folder in `tests` of the function's folder: input.json holds an event, or a list of
    them, and expected.json what becomes of each: outputs, changes of state, or the failure. state.json
    may hold the state before, config.json values that hold over those in app.toml. A folder in `tests`
    beside app.toml is a flow of the whole app: expected.json holds what comes on each topic.

    An event is a CloudEvent as it is, or written as
      { "topic": "…", "key": "…", "timestamp": "2026-11-21T06:43:01Z", "headers": [], "value": … }
    where all but the value can be left out. The value is a JSON document, a string, or null; bytes
    stand under valueBase64, and those of a key under keyBase64.
    "#);
}

#[test]
fn help_of_invoke() {
    insta::assert_snapshot!(help(&["invoke"]), @r#"
    Hand one event to a function, and print what becomes of it

    Prints the verdict, what the function publishes and changes in its state, and what it logs. Nothing
    is kept, and no broker is asked. Ends with 0 when the function was run, whatever became of the
    event.

    Usage: fnhost invoke [OPTIONS] <FUNCTION> <EVENT.json>

    Arguments:
      <FUNCTION>
              The function's folder, or APP/FUNCTION

      <EVENT.json>
              A file with the event: a CloudEvent, or written as for `fnhost test`; `-` is stdin

    Options:
          --topic <TOPIC>
              The topic of an event that names none; needed when the function reads more than one

          --state <FILE>
              A file with the function's state before: [{ "key": "…", "value": … }]

          --config <KEY=VALUE>
              A value that holds over the function's `config` in app.toml; may be given again

          --build
              Build the function's component first, as `fnhost build` does

              [env: FNHOST_BUILD=]

          --format <FORMAT>
              How it is printed

              Possible values:
              - text: For people
              - json: For programs: JSON

              [default: text]

          --cache <DIR>
              Where compiled components are kept from one run to the next: APP/build/compiled when left
              out

              [env: FNHOST_CACHE=]

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
    "#);
}
