//! How connections over tokio end, beyond what every adapter does.

use sansocket::{CloseCode, Config, Initiator};

use crate::support::{client, server, tcp};

// conf: CL-14
#[tokio::test]
async fn both_close_at_once_in_one_task() {
    let (there, here) = tcp().await;
    let (mut there, mut here) = (client(there, Config::new()), server(here, Config::new()));
    let (first, second) =
        tokio::join!(there.close(CloseCode::new(3001), "client"), here.close(CloseCode::new(3002), "server"));
    first.unwrap();
    second.unwrap();
    for (ws, code) in [(there.summary().unwrap(), 3002), (here.summary().unwrap(), 3001)] {
        assert_eq!((ws.code.get(), ws.clean, ws.initiator), (code, true, Initiator::Local));
    }
}
