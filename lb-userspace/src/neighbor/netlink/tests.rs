//! Messages as the kernel sends them (rtnetlink(7)), byte by byte.
#![expect(
    clippy::host_endian_bytes,
    reason = "netlink speaks in the machine's own order"
)]

use futures::FutureExt;
use rtnetlink::packet_core::{
    DoneMessage, ErrorMessage, NLM_F_DUMP_INTR, NLM_F_MULTIPART, NetlinkMessage, NetlinkPayload,
};

use super::{question::whole_list, *};

/// An attribute, padded to 4 bytes.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap();
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// `RTM_NEWLINK` for an Ethernet interface with index 7 that is up, with these attributes after its name.
fn new_link(attributes: &[Vec<u8>]) -> Link {
    const NEW_LINK: u16 = 16;
    const ETHERNET: u16 = 1;
    /// `IFF_UP`, `IFF_BROADCAST`, `IFF_RUNNING`, `IFF_MULTICAST`, `IFF_LOWER_UP`.
    const FLAGS: u32 = 0x0001_1043;
    let mut body = vec![0, 0];
    body.extend(ETHERNET.to_ne_bytes());
    body.extend(7_i32.to_ne_bytes());
    body.extend(FLAGS.to_ne_bytes());
    body.extend(u32::MAX.to_ne_bytes());
    body.extend(attribute(3, b"eth0.100\0"));
    body.extend(attributes.concat());
    let length = u32::try_from(16 + body.len()).unwrap();
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(NEW_LINK.to_ne_bytes());
    // Flags, sequence number, port.
    bytes.extend([0; 10]);
    bytes.extend(body);
    let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&bytes).unwrap();
    let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(message)) = message.payload
    else {
        panic!("not a new link: {message:?}");
    };
    link(&message)
}

fn link_info(kind: &[u8], data: &[Vec<u8>]) -> Vec<u8> {
    let mut info = attribute(1, kind);
    if !data.is_empty() {
        info.extend(attribute(2, &data.concat()));
    }
    attribute(18, &info)
}

fn vlan_device(protocol: u16, id: u16) -> Vec<u8> {
    let flags = [1_u32.to_ne_bytes(), u32::MAX.to_ne_bytes()].concat();
    link_info(
        b"vlan\0",
        &[
            attribute(5, &protocol.to_be_bytes()),
            attribute(1, &id.to_ne_bytes()),
            attribute(2, &flags),
        ],
    )
}

#[test]
fn a_vlan_device_has_its_number_its_tag_and_its_parent() {
    let mtu = attribute(4, &1_496_u32.to_ne_bytes());
    let mac = attribute(1, &[2, 0, 0, 0, 0, 7]);
    let parent = attribute(5, &3_u32.to_ne_bytes());
    for (protocol, id, is_provider) in [(0x8100, 100, false), (0x88a8, 4_094, true)] {
        let device = vlan_device(protocol, id);
        let seen = new_link(&[mtu.clone(), parent.clone(), mac.clone(), device]);
        let expected = Link {
            index: 7,
            name: "eth0.100".to_owned(),
            mac: Some([2, 0, 0, 0, 0, 7]),
            up: true,
            mtu: 1_496,
            kind: Some("vlan".to_owned()),
            vlan: Some(VlanLink {
                parent: 3,
                id,
                is_provider,
            }),
            xdp: None,
        };
        assert_eq!(seen, expected);
    }
}

#[test]
fn a_link_to_another_interface_alone_is_no_vlan() {
    let peer = attribute(5, &3_u32.to_ne_bytes());
    let veth = new_link(&[peer, link_info(b"veth\0", &[])]);
    assert_eq!((veth.kind.as_deref(), veth.vlan), (Some("veth"), None));
    let hardware = new_link(&[]);
    assert_eq!((hardware.kind, hardware.vlan), (None, None));
}

/// A message of a list, with these flags besides.
fn part(
    payload: NetlinkPayload<RouteNetlinkMessage>,
    flags: u16,
) -> NetlinkMessage<RouteNetlinkMessage> {
    let mut message = NetlinkMessage::from(RouteNetlinkMessage::NewNeighbour(
        NeighbourMessage::default(),
    ));
    message.header.flags = NLM_F_MULTIPART | flags;
    message.payload = payload;
    message
}

fn element() -> NetlinkPayload<RouteNetlinkMessage> {
    NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNeighbour(
        NeighbourMessage::default(),
    ))
}

fn end() -> NetlinkPayload<RouteNetlinkMessage> {
    NetlinkPayload::Done(DoneMessage::default())
}

#[test]
fn a_list_that_changed_while_it_was_read_is_none() {
    let list = |flags: [u16; 3]| {
        let [a, b, c] = flags;
        let messages = vec![part(element(), a), part(element(), b), part(end(), c)];
        let list = whole_list("list", messages).unwrap();
        list.map(|elements| elements.len())
    };
    assert_eq!(list([0; 3]), Some(2));
    for place in 0..3 {
        let mut flags = [0; 3];
        flags[place] = NLM_F_DUMP_INTR;
        assert_eq!(list(flags), None, "{flags:?}");
    }
}

#[test]
fn a_list_without_an_end_is_an_error() {
    for messages in [vec![], vec![part(element(), 0)]] {
        let error = whole_list("list the neighbours", messages).unwrap_err();
        let said = error.to_string();
        assert!(
            said.starts_with("cannot list the neighbours: the socket"),
            "{said}"
        );
    }
    let mut refused = ErrorMessage::default();
    refused.code = std::num::NonZeroI32::new(-1);
    let mut aborted = DoneMessage::default();
    aborted.code = -1;
    for last in [
        NetlinkPayload::Error(refused),
        NetlinkPayload::Done(aborted),
    ] {
        let error = whole_list("list", vec![part(element(), 0), part(last, 0)]).unwrap_err();
        assert!(matches!(error, NeighborError::Refused { .. }), "{error}");
    }
}

/// What is left of a question when its socket fails before the answer.
async fn cut_off<T: fmt::Debug>(question: impl AsyncFnOnce(Netlink) -> Result<T, NeighborError>) {
    let (connection, netlink) = Netlink::connect().unwrap();
    let mut question = Box::pin(question(netlink));
    assert!(question.as_mut().now_or_never().is_none(), "it waits");
    drop(connection);
    let error = question.await.unwrap_err();
    assert!(matches!(error, NeighborError::NoAnswer { .. }), "{error}");
}

#[tokio::test]
async fn a_socket_that_fails_is_an_error_and_not_an_empty_answer() {
    let neighbor = (1, IpAddr::from([10, 0, 0, 1]));
    cut_off(async |netlink| netlink.links().await).await;
    cut_off(async |netlink| netlink.addresses().await).await;
    cut_off(async |netlink| netlink.neighbors().await).await;
    cut_off(async |netlink| netlink.neighbor(neighbor).await).await;
    cut_off(async |netlink| netlink.route(neighbor.1).await).await;
}
