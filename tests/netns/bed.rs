//! The bed itself, without a balancer: what fails here is no fault of the product.

use lb_tests::{bed::VIPS, traffic};

use crate::scene::{Mode, PORT, Scene, names, set};

#[test]
fn backends_are_reached_by_their_own_addresses() {
    let scene = Scene::new(2);
    let _http = scene.servers();
    for vip in VIPS {
        let _udp = scene.udp_servers(Mode::Nat, vip);
        for (number, host) in scene.bed.backends.iter().enumerate() {
            let to = scene.backend(number, vip);
            let wanted = set(&[&host.name]);
            assert_eq!(names(traffic::ask(&scene.bed.client, to, 2)), wanted);
            assert_eq!(names(traffic::ask_udp(&scene.bed.client, to, 2)), wanted);
        }
        // Nobody answers for the VIP without a balancer.
        let answers = traffic::ask(&scene.bed.client, (vip, PORT).into(), 1);
        assert!(answers.iter().all(Result::is_err), "{answers:?}");
    }
}
