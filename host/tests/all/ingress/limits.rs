//! Clients that are slow, many, greedy or gone, and a host that ends.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use fnhost::ingress::{Drained, Limits, Options};
use tokio::sync::Semaphore;

use super::wire::{Door, Fate, PATIENCE, eventually, request};
use super::{ROUTE, order, status_and_title};

/// Short enough to be waited for, for limits that a test wants to meet.
const SHORT: Duration = Duration::from_millis(50);

fn door(change: impl FnOnce(&mut Options)) -> Door {
    let mut options = Options::default();
    change(&mut options);
    Door::with(options, PATIENCE)
}

/// A door whose only connection has sent an order and gone, and the server has noticed; the order is being published.
fn left() -> (Door, Arc<Semaphore>) {
    let door = door(|options| options.server.connections_max = 1);
    let (fate, held) = held();
    door.next(fate);
    let mut client = door.listening.client();
    client.send(request("POST", "/orders", "", &order()));
    door.arrival();
    drop(client);
    // Served only when the first connection is no more.
    let mut next = door.listening.client();
    next.send(request("GET", "/", "", ""));
    assert_eq!(next.answer().unwrap().status, 404);
    (door, held)
}

fn held() -> (Fate, Arc<Semaphore>) {
    let held = Arc::new(Semaphore::new(0));
    (Fate::Held(Arc::clone(&held)), held)
}

#[test]
fn a_client_that_leaves_loses_the_answer_but_not_the_event() {
    let (door, held) = left();
    held.add_permits(1);
    door.counted(ROUTE, 202, 1);
    assert_eq!(door.stored().len(), 1);
}

#[test]
fn a_client_that_leaves_within_its_body_is_counted() {
    let door = door(|_| {});
    let mut client = door.listening.client();
    client.send(format!(
        "{}{}",
        request("POST", "/orders", "content-length: 99\r\n", "").replacen("content-length: 0\r\n", "", 1),
        "{"
    ));
    drop(client);
    eventually("the request's count", || {
        let text = door.metrics.render();
        [400, 499].iter().any(|s| text.contains(&format!(r#"{{route="{ROUTE}",status="{s}"}} 1"#)))
    });
    assert_eq!(door.stored(), []);
}

#[test]
fn a_request_that_a_drain_cuts_is_counted() {
    let door = Door::with(Options::default(), SHORT);
    let mut client = door.listening.client();
    client.send(
        request("POST", "/orders", "expect: 100-continue\r\n", &order()).split_inclusive("\r\n\r\n").next().unwrap(),
    );
    assert_eq!(client.answer().unwrap().status, 100);
    let metrics = Arc::clone(&door.metrics);
    assert_eq!(door.listening.stop().drained(), Drained { connections: 1, requests: 0 });
    let line = format!(r#"fnhost_ingress_requests_total{{route="{ROUTE}",status="499"}} 1"#);
    assert!(metrics.render().contains(&line), "{}", metrics.render());
}

#[test]
fn a_broker_that_says_nothing_is_given_up_on() {
    let door = door(|options| options.publish_timeout = SHORT);
    let (fate, _held) = held();
    door.next(fate);
    let answer = door.post(&order(), "");
    assert_eq!(status_and_title(&answer), (504, "the broker did not answer in time".to_owned()));
}

#[test]
fn headers_that_come_too_slowly_end_the_connection() {
    let door = door(|options| options.server.header_read_timeout = SHORT);
    let mut client = door.listening.client();
    client.send("POST /orders HTTP/1.1\r\nhost: te");
    assert!(client.is_closed());
    let mut idle = door.listening.client();
    assert!(idle.is_closed());
}

#[test]
fn a_body_that_comes_too_slowly_is_refused() {
    let door = door(|options| options.body_read_timeout = SHORT);
    let mut client = door.listening.client();
    client.send("POST /orders HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{");
    let answer = client.answer().unwrap();
    assert_eq!(status_and_title(&answer), (408, "the body took too long".to_owned()));
}

#[test]
fn headers_that_are_too_large_are_refused() {
    let door = door(|options| options.server.header_bytes_max = 1024);
    let mut client = door.listening.client();
    client.send(request("POST", "/orders", &format!("x: {}\r\n", "y".repeat(1024)), &order()));
    assert_eq!(client.answer().unwrap().status, 431);
    let many: String = (0..101).map(|n| format!("x{n}: y\r\n")).collect();
    let mut client = door.listening.client();
    client.send(request("POST", "/orders", &many, &order()));
    assert_eq!(client.answer().unwrap().status, 431);
}

#[test]
fn what_is_not_http_is_refused() {
    let door = door(|_| {});
    for bytes in ["\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}", "GET / HTTP/9.9\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut client = door.listening.client();
        client.send(bytes);
        assert!(client.answer().is_none_or(|answer| answer.status == 400), "{bytes:?}");
    }
    assert_eq!(door.post(&order(), "").status, 202);
}

#[test]
fn one_request_more_than_the_most_is_told_to_come_back() {
    let door = door(|options| options.requests_max = 1);
    let (fate, held) = held();
    door.next(fate);
    let mut first = door.listening.client();
    first.send(request("POST", "/orders", "", &order()));
    door.arrival();
    let answer = door.post(&order(), "");
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"));
    answer.problem();
    held.add_permits(1);
    assert_eq!(first.answer().unwrap().status, 202);
    eventually("room for one more", || door.post(&order(), "").status == 202);
}

#[test]
fn a_client_that_leaves_does_not_make_room_before_its_event_is_stored() {
    let door = door(|options| options.requests_max = 1);
    let (fate, held) = held();
    door.next(fate);
    let mut first = door.listening.client();
    first.send(request("POST", "/orders", "", &order()));
    door.arrival();
    drop(first);
    assert_eq!(door.post(&order(), "").status, 503);
    held.add_permits(1);
    eventually("room for one more", || door.post(&order(), "").status == 202);
}

#[test]
fn one_connection_more_than_the_most_waits_for_its_turn() {
    let door = door(|options| options.server.connections_max = 1);
    let mut first = door.listening.client();
    first.send(request("POST", "/orders", "", &order()));
    assert_eq!(first.answer().unwrap().status, 202);
    let mut second = door.listening.client();
    second.send(request("POST", "/orders", "", &order()));
    first.send(request("POST", "/orders", "", &order()));
    assert_eq!(first.answer().unwrap().status, 202);
    // Two of the first connection: the second one's order is waiting.
    assert_eq!(door.stored().len(), 2);
    drop(first);
    assert_eq!(second.answer().unwrap().status, 202);
}

#[test]
fn a_connection_that_is_too_old_ends_after_its_request() {
    let door = door(|options| {
        options.server = Limits {
            connection_age_max: 5 * SHORT,
            // Or idling would end it.
            header_read_timeout: 10 * PATIENCE,
            ..Limits::default()
        }
    });
    let (fate, held) = held();
    door.next(fate);
    let mut client = door.listening.client();
    client.send(request("POST", "/orders", "", &order()));
    door.arrival();
    let mut idle = door.listening.client();
    assert!(idle.is_closed());
    held.add_permits(1);
    assert_eq!(client.answer().unwrap().status, 202);
    assert!(client.is_closed());
}

#[test]
fn a_client_that_sends_on_still_reads_why_it_was_refused() {
    let door = door(|_| {});
    let mut client = door.listening.client();
    let body = "x".repeat(2 << 20);
    client.send(request("POST", "/orders", "", &body));
    assert_eq!(client.answer().unwrap().status, 413);
    client.send(request("POST", "/orders", "", &order()));
    assert_eq!(client.answer().unwrap().status, 202);
}

#[test]
fn a_client_that_asks_first_is_refused_before_it_sends() {
    let door = door(|_| {});
    let asks = |length: usize| {
        let mut client = door.listening.client();
        client.send(format!(
            "POST /orders HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
        ));
        let status = client.answer().unwrap().status;
        (client, status)
    };
    let (mut refused, status) = asks(100 << 20);
    assert_eq!(status, 413);
    assert!(refused.is_closed());
    let (mut client, status) = asks(order().len());
    assert_eq!(status, 100);
    client.send(order());
    assert_eq!(client.answer().unwrap().status, 202);
}

#[test]
fn a_drain_ends_what_is_in_flight_and_takes_nothing_new() {
    let door = door(|_| {});
    let (fate, held) = held();
    door.next(fate);
    let mut idle = door.listening.client();
    let mut busy = door.listening.client();
    busy.send(request("POST", "/orders", "", &order()));
    door.arrival();
    let address = door.listening.address;
    let draining = door.listening.stop();
    assert!(idle.is_closed());
    assert!(TcpStream::connect(address).is_err());
    held.add_permits(1);
    assert_eq!(busy.answer().unwrap().status, 202);
    assert!(busy.is_closed());
    assert_eq!(draining.drained(), Drained::default());
}

#[test]
fn a_drain_waits_for_the_event_of_a_client_that_has_gone() {
    let (door, held) = left();
    let metrics = Arc::clone(&door.metrics);
    let draining = door.listening.stop();
    held.add_permits(1);
    assert_eq!(draining.drained(), Drained::default());
    let line = format!(r#"fnhost_ingress_requests_total{{route="{ROUTE}",status="202"}} 1"#);
    assert!(metrics.render().contains(&line), "{}", metrics.render());
}

#[test]
fn a_drain_ends_at_its_deadline_and_says_what_it_cut() {
    let door = Door::with(Options::default(), SHORT);
    let (fate, _held) = held();
    door.next(fate);
    let mut client = door.listening.client();
    client.send(request("POST", "/orders", "", &order()));
    door.arrival();
    assert_eq!(door.listening.stop().drained(), Drained { connections: 1, requests: 1 });
    assert!(client.answer().is_none());
}
