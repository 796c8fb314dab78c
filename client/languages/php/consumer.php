<?php
// PHP's gRPC is an extension that must be built: this consumer speaks REST, with
// the messages of the image.
spl_autoload_register(function ($class) {
    foreach ([__DIR__, '/usr/share/php'] as $dir) {
        $file = $dir . '/' . strtr($class, '\\', '/') . '.php';
        if (is_file($file)) { require $file; return; }
    }
});
use Hookstream\V1\SubscribeResponse;

$base = 'http://' . $argv[2] . '/v1/';
// Of a chunked answer, which HTTP/1.1 has, PHP hands over nothing before it has 8 KiB:
// on an open stream it would wait for ever.
function over(array $http): mixed {
    return stream_context_create(['http' => $http + ['protocol_version' => 1.0]]);
}
function ask(string $method, string $url, ?string $body = null): string {
    $http = ['method' => $method, 'ignore_errors' => true, 'header' => 'Content-Type: application/json', 'content' => $body ?? ''];
    return file_get_contents($url, false, over($http));
}
function deliveries(string $url): Generator {
    for ($stream = fopen($url, 'r', false, over([])); ($line = fgets($stream)) !== false;) {
        $frame = new SubscribeResponse();
        $frame->mergeFromJsonString(json_encode(json_decode($line)->result), true);
        if ($frame->getBatch()) yield from $frame->getBatch()->getDeliveries();
    }
}
$all = iterator_to_array(deliveries($base . 'events:subscribe?earliest=true&atHead=true'), false);
echo 'typed ', $all[0]->getEvent()->getType(), ' ', $all[0]->getEvent()->getYousign()->getSignatureRequest()->getId(), "\n";
foreach (deliveries($base . 'events:subscribe?atHead=true&afterCursor=' . urlencode($all[0]->getCursor())) as $d) {
    echo 'resumed ', $d->getEvent()->getType(), "\n";
}
ask('POST', $base . 'subscriptions?subscriptionId=php&earliest=true', '{}');
foreach (deliveries($base . 'events:subscribe?subscription=subscriptions/php') as $d) {
    ask('POST', $base . 'subscriptions/php:acknowledge', json_encode(['settlements' => [['ackToken' => $d->getAckToken(), 'verdict' => 'VERDICT_ACK']]]));
    echo 'acknowledged ', $d->getEvent()->getType(), "\n";
    break;
}
foreach (json_decode(ask('GET', $base . 'events/none'))->details as $detail) {
    if ($detail->{'@type'} === 'type.googleapis.com/google.rpc.ErrorInfo') echo 'reason ', $detail->reason, "\n";
}
