//! Groups are read as passwd(5) and group(5) write them, and give the rights they should.

use super::*;

const PASSWD_TEXT: &str = "\
root:x:0:0:root:/root:/bin/bash
anna:x:1000:1000:Anna:/home/anna:/bin/bash
anna-too:x:1000:1001::/home/anna:/bin/bash
bert:x:1001:100::/home/bert:/bin/sh
broken:x
odd:x:many:1::
";

const GROUP_TEXT: &str = "\
root:x:0:
users:x:100:
lb:x:990:anna,zoe
view:x:991:bert, anna-too
lbx:x:992:annabel
broken:x
+
";

fn access(group: Option<u32>, read_only_group: Option<u32>) -> Access {
    let group_of = |name: &str, gid| Group {
        name: name.to_owned(),
        gid: Some(gid),
    };
    Access {
        own_uid: 500,
        group: group.map(|gid| group_of("lb", gid)),
        read_only_group: read_only_group.map(|gid| group_of("view", gid)),
    }
}

fn peer(uid: u32, right: Right) -> Peer {
    Peer {
        uid,
        gid: uid,
        pid: Some(7),
        right,
    }
}

#[test]
fn groups_are_found_by_their_whole_name() {
    for (name, gid) in [
        ("lb", Some(990)),
        ("root", Some(0)),
        ("l", None),
        ("broken", None),
        ("x", None),
        ("", None),
    ] {
        assert_eq!(gid_of(GROUP_TEXT, name), gid, "{name}");
    }
}

#[test]
fn a_user_has_its_primary_group_and_those_that_list_it() {
    for (uid, gids) in [
        (1000, vec![990, 991, 1000, 1001]),
        (1001, vec![100, 991]),
        (0, vec![0]),
        (4711, vec![]),
    ] {
        let found: Vec<u32> = gids_of(PASSWD_TEXT, GROUP_TEXT, uid).into_iter().collect();
        assert_eq!(found, gids, "uid {uid}");
    }
}

#[test]
fn root_the_own_user_and_the_group_may_change_and_the_second_group_may_read() {
    let access = access(Some(990), Some(991));
    for (uid, gids, right) in [
        (0, vec![], Right::Change),
        (500, vec![], Right::Change),
        (1000, vec![990, 991], Right::Change),
        (1001, vec![100, 991], Right::Read),
        (1002, vec![100], Right::None),
    ] {
        let gids = gids.into_iter().collect();
        assert_eq!(access.right(uid, || gids), right, "uid {uid}");
    }
}

#[test]
fn a_group_that_does_not_exist_gives_nobody_a_right() {
    let access = Access::new(Some("no-such-group-here"), None);
    assert_eq!(access.gid(), None);
    assert_eq!(access.right(54_321, BTreeSet::new), Right::None);
}

#[test]
fn only_a_second_group_opens_the_socket_to_everybody() {
    assert_eq!(access(Some(990), None).socket_mode(), 0o660);
    assert_eq!(access(Some(990), Some(991)).socket_mode(), 0o666);
}

#[test]
fn a_refusal_names_who_could() {
    let both = access(Some(990), Some(991));
    let refusal = |access: &Access, right, needed| {
        let checked = access.check(peer(1001, right), needed, "call service.add");
        checked.map_err(|error| (error.code, error.message))
    };
    let not_allowed = |who: &str| {
        let message = format!("uid 1001 may not call service.add: it takes {who}");
        Err((ErrorCode::NotAllowed.number(), message))
    };
    assert_eq!(refusal(&both, Right::Change, Right::Change), Ok(()));
    assert_eq!(refusal(&both, Right::Read, Right::Read), Ok(()));
    assert_eq!(
        refusal(&both, Right::Read, Right::Change),
        not_allowed("root or a member of group `lb`")
    );
    assert_eq!(
        refusal(&both, Right::None, Right::Read),
        not_allowed("root or a member of group `lb` or group `view`")
    );
    assert_eq!(
        refusal(&access(None, None), Right::None, Right::Read),
        not_allowed("root")
    );
}
