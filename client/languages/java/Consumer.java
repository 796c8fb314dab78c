// A consumer with grpc-java.
import com.google.rpc.ErrorInfo;
import com.google.rpc.Status;
import dev.hookstream.v1.*;
import io.grpc.*;
import io.grpc.netty.NettyChannelBuilder;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.function.Predicate;

public final class Consumer {
  private static EventServiceGrpc.EventServiceBlockingStub events;

  // Until the stream ends or `handle` says that it has enough.
  private static void deliveries(SubscribeRequest request, Predicate<Delivery> handle) {
    try (Context.CancellableContext context = Context.current().withCancellation()) {
      context.run(() -> {
        Iterator<SubscribeResponse> frames = events.subscribe(request);
        while (frames.hasNext())
          for (Delivery d : frames.next().getBatch().getDeliveriesList())
            if (!handle.test(d)) return;
      });
    }
  }

  public static void main(String[] args) throws Exception {
    ManagedChannel channel = NettyChannelBuilder.forTarget("dns:///" + args[0]).usePlaintext().build();
    events = EventServiceGrpc.newBlockingStub(channel);
    var subscriptions = SubscriptionServiceGrpc.newBlockingStub(channel);

    var all = new ArrayList<Delivery>();
    deliveries(SubscribeRequest.newBuilder().setEarliest(true).setAtHead(true).build(), all::add);
    Event first = all.get(0).getEvent();
    System.out.println("typed " + first.getType() + " " + first.getYousign().getSignatureRequest().getId());
    deliveries(SubscribeRequest.newBuilder().setAfterCursor(all.get(0).getCursor()).setAtHead(true).build(), d -> {
      System.out.println("resumed " + d.getEvent().getType());
      return true;
    });
    String name = "subscriptions/java";
    subscriptions.createSubscription(CreateSubscriptionRequest.newBuilder()
        .setSubscriptionId("java").setSubscription(Subscription.getDefaultInstance()).setEarliest(true).build());
    deliveries(SubscribeRequest.newBuilder().setSubscription(name).build(), d -> {
      subscriptions.acknowledge(AcknowledgeRequest.newBuilder().setName(name).addSettlements(
          Settlement.newBuilder().setAckToken(d.getAckToken()).setVerdict(Settlement.Verdict.VERDICT_ACK)).build());
      System.out.println("acknowledged " + d.getEvent().getType());
      return false;
    });
    try {
      events.getEvent(GetEventRequest.newBuilder().setName("events/none").build());
    } catch (StatusRuntimeException e) {
      byte[] details = e.getTrailers().get(Metadata.Key.of("grpc-status-details-bin", Metadata.BINARY_BYTE_MARSHALLER));
      for (var detail : Status.parseFrom(details).getDetailsList())
        if (detail.is(ErrorInfo.class)) System.out.println("reason " + detail.unpack(ErrorInfo.class).getReason());
    }
    channel.shutdownNow();
  }
}
