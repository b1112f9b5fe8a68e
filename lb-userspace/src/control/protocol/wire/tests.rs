//! The examples of the specification's section 7 and what lies between them.

use serde_json::json;

use super::*;
use crate::control::protocol::{NoParams, ServiceRef};

fn single(line: &str) -> Result<Request, Invalid> {
    match Message::parse(line) {
        Ok(Message::Single(request)) => request,
        other => panic!("{line}: {other:?}"),
    }
}

fn code_and_id(invalid: &Invalid) -> (i32, Id) {
    (invalid.error.code, invalid.id.clone())
}

#[test]
fn requests_keep_their_id_as_it_came() {
    for (written, id) in [
        (r#""id": 7,"#, Some(Id::Number(7.into()))),
        (r#""id": "a","#, Some(Id::Text("a".to_owned()))),
        (r#""id": null,"#, Some(Id::Null)),
        ("", None),
    ] {
        let line = format!(r#"{{"jsonrpc": "2.0", {written} "method": "version"}}"#);
        let request = single(&line).unwrap();
        assert_eq!(request.id, id, "{line}");
        assert_eq!((request.method.as_str(), request.params), ("version", None));
    }
}

#[test]
fn a_line_that_is_no_json_is_a_parse_error_without_id() {
    for line in [
        "{",
        "nonsense",
        r#"{"jsonrpc": "2.0", "method""#,
        "[1,",
        "1 2",
    ] {
        let invalid = Message::parse(line).unwrap_err();
        assert_eq!(
            code_and_id(&invalid),
            (ErrorCode::Parse.number(), Id::Null),
            "{line}"
        );
    }
    let deep = "[".repeat(100_000);
    let invalid = Message::parse(&deep).unwrap_err();
    assert_eq!(code_and_id(&invalid).0, ErrorCode::Parse.number());
}

#[test]
fn json_that_is_no_request_is_refused_and_says_why() {
    for (line, id, words) in [
        ("1", Id::Null, "JSON object"),
        ("{}", Id::Null, "jsonrpc"),
        (
            r#"{"jsonrpc": "1.0", "method": "version", "id": 1}"#,
            Id::Number(1.into()),
            "jsonrpc",
        ),
        (
            r#"{"jsonrpc": 2.0, "method": "version", "id": 1}"#,
            Id::Number(1.into()),
            "jsonrpc",
        ),
        (
            r#"{"jsonrpc": "2.0", "id": "x"}"#,
            Id::Text("x".to_owned()),
            "method",
        ),
        (
            r#"{"jsonrpc": "2.0", "method": 1, "params": "bar"}"#,
            Id::Null,
            "method",
        ),
        (
            r#"{"jsonrpc": "2.0", "method": "status", "params": "bar", "id": 1}"#,
            Id::Number(1.into()),
            "params",
        ),
        (
            r#"{"jsonrpc": "2.0", "method": "status", "params": null, "id": 1}"#,
            Id::Number(1.into()),
            "params",
        ),
        (
            r#"{"jsonrpc": "2.0", "method": "status", "id": [1]}"#,
            Id::Null,
            "id must be",
        ),
        (
            r#"{"jsonrpc": "2.0", "method": "status", "id": 1, "parms": {}}"#,
            Id::Number(1.into()),
            "`parms`",
        ),
    ] {
        let invalid = single(line).unwrap_err();
        assert_eq!(
            code_and_id(&invalid),
            (ErrorCode::InvalidRequest.number(), id),
            "{line}"
        );
        let message = invalid.error.message;
        assert!(message.contains(words), "{line}: {message}");
    }
}

#[test]
fn batches_keep_their_order_and_answer_invalid_elements_one_by_one() {
    let line = r#"[{"jsonrpc": "2.0", "method": "a", "id": 1}, 1, {"foo": "boo"}, {"jsonrpc": "2.0", "method": "b"}]"#;
    let Ok(Message::Batch(elements)) = Message::parse(line) else {
        panic!("a batch")
    };
    let short: Vec<_> = elements
        .iter()
        .map(|element| match element {
            Ok(request) => request.method.clone(),
            Err(invalid) => invalid.error.code.to_string(),
        })
        .collect();
    assert_eq!(short, ["a", "-32600", "-32600", "b"]);
}

#[test]
fn empty_and_huge_batches_get_one_answer() {
    let huge = format!("[{}1]", "1,".repeat(MAX_BATCH));
    for line in ["[]", huge.as_str()] {
        let invalid = Message::parse(line).unwrap_err();
        assert_eq!(
            code_and_id(&invalid),
            (ErrorCode::InvalidRequest.number(), Id::Null)
        );
    }
}

#[test]
fn responses_have_exactly_a_result_or_an_error() {
    let result = Response {
        id: Id::Number(1.into()),
        outcome: Ok(Value::Null),
    };
    assert_eq!(
        result.to_json(),
        r#"{"jsonrpc":"2.0","id":1,"result":null}"#
    );
    let error = Response::error(Id::Null, RpcError::new(ErrorCode::Busy, "too many clients"));
    assert_eq!(
        error.to_json(),
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32007,"message":"too many clients"}}"#
    );
    for response in [result, error] {
        assert_eq!(
            serde_json::from_str::<Response>(&response.to_json()).unwrap(),
            response
        );
    }
    for bad in [
        json!({"jsonrpc": "2.0", "id": 1}),
        json!({"jsonrpc": "2.0", "id": 1, "result": 1, "error": {"code": 1, "message": ""}}),
        json!({"jsonrpc": "1.0", "id": 1, "result": 1}),
        json!({"jsonrpc": "2.0", "result": 1}),
    ] {
        assert!(
            serde_json::from_value::<Response>(bad.clone()).is_err(),
            "{bad}"
        );
    }
}

#[test]
fn what_the_client_writes_is_what_the_server_reads() {
    for call in [
        Call::Status(NoParams {}),
        Call::ServiceGet(ServiceRef {
            name: "web".to_owned(),
        }),
    ] {
        let line = request_line(3, &call);
        assert_eq!(line.matches('\n').count(), 1);
        let request = single(&line).unwrap();
        assert_eq!(request.id, Some(Id::Number(3.into())));
        assert_eq!(Call::decode(&request.method, request.params), Ok(call));
    }
}
