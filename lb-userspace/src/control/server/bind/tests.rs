//! The place of a daemon that is gone is taken; nothing else is.

use tempfile::TempDir;

use super::*;

#[tokio::test]
async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("a/b/lb.sock");
    let access = Access::new(None, None);
    let first = bind(&path, &access).await.unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let error = bind(&path, &access).await.unwrap_err();
    assert!(
        matches!(&error, BindError::InUse(at) if *at == path),
        "{error}"
    );
    assert!(
        error.to_string().starts_with("another daemon listens on"),
        "{error}"
    );
    drop(first);
    assert!(path.exists());
    let second = bind(&path, &access).await.unwrap();
    drop(second);
}

#[tokio::test]
async fn what_is_no_socket_is_left_alone() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("precious");
    fs::write(&path, "text").unwrap();
    let access = Access::new(None, None);
    let error = bind(&path, &access).await.unwrap_err();
    assert!(matches!(error, BindError::NotASocket(_)), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "text");
    let error = bind(Path::new("/dev/null/lb.sock"), &access)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("/dev/null"), "{error}");
}
