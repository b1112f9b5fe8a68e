//! What the host's kernel may lack: real tunnel devices as receivers, 802.1Q devices, bad links by netem.
