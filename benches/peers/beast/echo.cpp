// An echo server over Boost.Beast: asynchronous, one thread, as in Beast's example `websocket_server_async`.
//
// usage: beast_echo ADDR:PORT [--deflate=shared|dedicated | --ping SECONDS]
//
// Beast pings who sends no message for half of its idle timeout, and ends the connection if the other half is silent too.

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/websocket.hpp>
#include <chrono>
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

using timeout_option = std::optional<websocket::stream_base::timeout>;

// `none` is what it does without the option.
static timeout_option pings(const std::string& option, const char* seconds) {
    if (option != "--ping") return std::nullopt;
    auto timeout = websocket::stream_base::timeout{websocket::stream_base::none(), websocket::stream_base::none(), false};
    std::chrono::duration<double> silence{std::atof(seconds)};
    if (silence.count() > 0) {
        timeout.idle_timeout = std::chrono::duration_cast<websocket::stream_base::duration>(silence * 2);
        timeout.keep_alive_pings = true;
    }
    return timeout;
}

class session : public std::enable_shared_from_this<session> {
    websocket::stream<tcp::socket> ws_;
    beast::flat_buffer buffer_;

public:
    session(tcp::socket&& socket, const deflate_option& deflate, const timeout_option& pings) : ws_(std::move(socket)) {
        if (deflate) ws_.set_option(*deflate);
        if (pings) ws_.set_option(*pings);
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

static void accept(tcp::acceptor& acceptor, const deflate_option& deflate, const timeout_option& pings) {
    acceptor.async_accept([&](beast::error_code error, tcp::socket socket) {
        if (!error) std::make_shared<session>(std::move(socket), deflate, pings)->run();
        accept(acceptor, deflate, pings);
    });
}

int main(int count, char** args) {
    std::string place = count >= 2 && count <= 4 ? args[1] : "";
    auto compression = deflate(count == 3 ? args[2] : "");
    auto keepalive = count == 4 ? pings(args[2], args[3]) : std::nullopt;
    auto colon = place.rfind(':');
    if (colon == std::string::npos || (count == 3 && !compression) || (count == 4 && !keepalive)) {
        std::cerr << "usage: beast_echo ADDR:PORT [--deflate=shared|dedicated | --ping SECONDS]\n";
        return 2;
    }
    net::io_context context{1};
    auto address = net::ip::make_address(place.substr(0, colon));
    tcp::acceptor acceptor{context, {address, static_cast<unsigned short>(std::atoi(place.c_str() + colon + 1))}};
    acceptor.listen(1024);
    std::cout << "listening on " << acceptor.local_endpoint() << std::endl;
    accept(acceptor, compression, keepalive);
    context.run();
}
