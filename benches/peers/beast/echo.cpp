// An echo server over Boost.Beast: asynchronous, one thread, as in Beast's example `websocket_server_async`.
//
// usage: beast_echo ADDR:PORT [--deflate=shared|dedicated]

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/websocket.hpp>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <string>

namespace beast = boost::beast;
namespace websocket = beast::websocket;
namespace net = boost::asio;
using tcp = net::ip::tcp;

using deflate_option = std::optional<websocket::permessage_deflate>;

// The level and the windows of the library's own servers, the tables of the others'.
static deflate_option deflate(const std::string& option) {
    bool shared = option == "--deflate=shared";
    if (!shared && option != "--deflate=dedicated") return std::nullopt;
    websocket::permessage_deflate deflate;
    deflate.server_enable = true;
    deflate.server_no_context_takeover = deflate.client_no_context_takeover = shared;
    deflate.server_max_window_bits = deflate.client_max_window_bits = shared ? 15 : 12;
    deflate.compLevel = 3;
    deflate.memLevel = 8;
    return deflate;
}

class session : public std::enable_shared_from_this<session> {
    websocket::stream<tcp::socket> ws_;
    beast::flat_buffer buffer_;

public:
    session(tcp::socket&& socket, const deflate_option& deflate) : ws_(std::move(socket)) {
        if (deflate) ws_.set_option(*deflate);
        ws_.next_layer().set_option(tcp::no_delay(true));
        ws_.auto_fragment(false);
        ws_.read_message_max(16 << 20);
    }

    void run() {
        ws_.async_accept([self = shared_from_this()](beast::error_code error) {
            if (!error) self->read();
        });
    }

private:
    void read() {
        ws_.async_read(buffer_, [self = shared_from_this()](beast::error_code error, std::size_t) {
            if (error) return;
            self->ws_.text(self->ws_.got_text());
            self->write();
        });
    }

    void write() {
        ws_.async_write(buffer_.data(), [self = shared_from_this()](beast::error_code error, std::size_t) {
            if (error) return;
            self->buffer_.consume(self->buffer_.size());
            self->read();
        });
    }
};

static void accept(tcp::acceptor& acceptor, const deflate_option& deflate) {
    acceptor.async_accept([&](beast::error_code error, tcp::socket socket) {
        if (!error) std::make_shared<session>(std::move(socket), deflate)->run();
        accept(acceptor, deflate);
    });
}

int main(int count, char** args) {
    std::string place = count == 2 || count == 3 ? args[1] : "";
    auto compression = deflate(count == 3 ? args[2] : "");
    auto colon = place.rfind(':');
    if (colon == std::string::npos || (count == 3 && !compression)) {
        std::cerr << "usage: beast_echo ADDR:PORT [--deflate=shared|dedicated]\n";
        return 2;
    }
    net::io_context context{1};
    auto address = net::ip::make_address(place.substr(0, colon));
    tcp::acceptor acceptor{context, {address, static_cast<unsigned short>(std::atoi(place.c_str() + colon + 1))}};
    acceptor.listen(1024);
    std::cout << "listening on " << acceptor.local_endpoint() << std::endl;
    accept(acceptor, compression);
    context.run();
}
