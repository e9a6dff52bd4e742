// How a plugin is: one Ping answers all who ask meanwhile. Declared in plugin_actor.h.
#include "kernel/base/limits.h"
#include "kernel/base/utf8.h"
#include "kernel/orchestrator/plugin_actor.h"

namespace liongate::orchestrator {

using lifecycle::State;
using supervision::PluginInstance;

void PluginActor::check_health(HealthDone done) {
  if (record_.state != State::kRunning || !instance_) {
    v1::Pong pong;
    pong.set_healthy(record_.state == State::kRunning);
    pong.set_detail(record_.state_message);
    done(std::move(pong));
    return;
  }
  if (pings_.size() >= limits::kPingsMax) {
    done(make_error(Reason::kQueueFull, std::to_string(limits::kPingsMax) +
                                            " callers wait already to hear how plugin " + record_.name() + " is")
             .with_hint("ask again in " + std::to_string(limits::kHealthTimeoutMs) + " ms"));
    return;
  }
  pings_.push_back(std::move(done));
  if (pings_.size() > 1) return;  // one question answers all who wait
  v1::Frame frame;
  frame.mutable_ping()->set_nonce(++ping_nonce_);
  if (const Result<void> sent = instance_->send(frame); !sent) {
    answer_pings(sent.error());
    return;
  }
  ping_timer_.expires_after(std::chrono::milliseconds(limits::kHealthTimeoutMs));
  ping_timer_.async_wait([this, alive = alive_](const boost::system::error_code& error) {
    if (error || !*alive) return;
    v1::Pong pong;
    pong.set_healthy(false);
    pong.set_detail("no answer to a Ping within " + std::to_string(limits::kHealthTimeoutMs) + " ms");
    answer_pings(std::move(pong));
  });
}

void PluginActor::on_instance_pong(PluginInstance&, const v1::Pong& pong) {
  if (pong.nonce() != ping_nonce_) return;
  v1::Pong answer = pong;
  // Hidden before it is cut: half a secret is one.
  const std::string detail = context_.secrets.hidden(
      to_utf8(pong.detail().substr(0, limits::kPongDetailBytesMax + policy::kHidingReachBytes)));
  answer.set_detail(to_utf8(detail.substr(0, limits::kPongDetailBytesMax)));
  answer_pings(std::move(answer));
}

void PluginActor::answer_pings(Result<v1::Pong> pong) {
  ping_timer_.cancel();
  for (HealthDone& done : std::exchange(pings_, {})) done(pong);
}

}  // namespace liongate::orchestrator
