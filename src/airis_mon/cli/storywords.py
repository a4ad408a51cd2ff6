"""The sentences of a demo, in English and Korean."""

from __future__ import annotations

HEAD_EN = """
AIRIS-MON demo: a simulated world ({topology}, seed {seed}). Nothing here is real: every series carries
demo="simulated".

  {url}/docs    every call, to try
  curl '{url}/api/v1/aiops/anomalies?limit=5'
  airis-mon query --server {url} 'sum by (service) (rate(http_requests_total{{code="500"}}[1m]))' --start 15m --plot
  Grafana       a Prometheus data source with the URL {url}; the dashboard lies in deploy/grafana

Something breaks every few minutes. TRUTH is told to you, not to the engine; it sees the metrics alone. Ctrl-C ends it.
"""
HEAD_KO = """
AIRIS-MON 데모: 시뮬레이션 세계({topology}, 시드 {seed}). 실제 데이터가 아니며,
모든 시계열에 demo="simulated" 레이블이 붙습니다.

  {url}/docs    모든 호출을 직접 시험
  curl '{url}/api/v1/aiops/anomalies?limit=5'
  airis-mon query --server {url} 'sum by (service) (rate(http_requests_total{{code="500"}}[1m]))' --start 15m --plot
  Grafana       Prometheus 데이터 소스의 URL로 {url} 사용; 대시보드는 deploy/grafana

몇 분마다 무언가 고장 납니다. '사실'은 사용자에게만 알려지며 엔진은 지표만 봅니다. Ctrl-C로 종료합니다.
"""
WORDS: dict[str, dict[str, str]] = {
    "en": {
        "head": HEAD_EN,
        "ready": "ready; reading its past since {past} UTC",
        "fetched": "past: {share} read ({samples} samples)",
        "soon": "learned the past since {past} UTC: out of warm-up",
        "done": "learned all of its past, since {past} UTC",
        "truth": "TRUTH   {kind}: {where}{scope}, until {until}; {felt}",
        "felt": "users feel it at {at} ({what})",
        "unfelt": "too weak for users to feel",
        "scope all": "",
        "scope replica": " (one replica)",
        "scope zone": " (one zone)",
        "saw": "ENGINE  {score}  {entity}  {name} = {value}, expected {expected}",
        "alert": "RULES   {name}: {summary}",
        "ahead": "AHEAD   {sentence}",
        "over": "TRUTH   {entity} is over: first seen after {after} s, {n} entities unusual, {named}",
        "named": "itself among them",
        "unnamed": "itself not among them",
        "missed": "TRUTH   {entity} is over: the engine saw nothing of it",
        "rightly": "TRUTH   {entity} is over: nobody felt it, and the engine saw nothing of it",
        "quiet": "        and {n} more entities had something unusual while nothing was broken",
    },
    "ko": {
        "head": HEAD_KO,
        "ready": "준비됨; {past} UTC 이후의 과거를 읽는 중",
        "fetched": "과거: {share} 읽음 (표본 {samples}개)",
        "soon": "{past} UTC 이후를 학습함: 예열 끝",
        "done": "{past} UTC 이후의 과거를 모두 학습함",
        "truth": "사실    {kind}: {where}{scope}, {until}까지; {felt}",
        "felt": "사용자는 {at}에 느낌 ({what})",
        "unfelt": "사용자가 느끼기엔 너무 약함",
        "scope all": "",
        "scope replica": " (복제본 하나)",
        "scope zone": " (영역 하나)",
        "saw": "엔진    {score}  {entity}  {name} = {value}, 예상 {expected}",
        "alert": "규칙    {name}: {summary}",
        "ahead": "예측    {sentence}",
        "over": "사실    {entity} 끝: {after}초 뒤 처음 감지, 이상 대상 {n}개, {named}",
        "named": "원인 자신 포함",
        "unnamed": "원인 자신은 빠짐",
        "missed": "사실    {entity} 끝: 엔진이 아무것도 보지 못함",
        "rightly": "사실    {entity} 끝: 아무도 느끼지 못했고 엔진도 보지 못함",
        "quiet": "        고장이 없는 동안 그 밖에 {n}개 대상에서 이상이 보임",
    },
}
KINDS_KO = {
    "cpu_hog": "CPU 잠식",
    "memory_leak": "메모리 누수",
    "disk_fill": "디스크 차오름",
    "disk_slow": "느린 디스크",
    "network_delay": "네트워크 지연",
    "network_loss": "패킷 유실",
    "network_partition": "네트워크 단절",
    "dns_failure": "DNS 장애",
    "pool_exhaustion": "커넥션 풀 고갈",
    "fd_leak": "파일 디스크립터 누수",
    "thread_leak": "스레드 누수",
    "lock_contention": "잠금 경합",
    "bad_deploy_latency": "느려진 배포",
    "bad_deploy_errors": "오류를 내는 배포",
    "bad_config": "잘못된 설정",
    "feature_flag": "새 기능 플래그",
    "cache_failure": "캐시 장애",
    "quota_throttling": "할당량 소진",
    "certificate_expiry": "인증서 만료",
    "queue_stall": "큐 정체",
    "noisy_neighbour": "시끄러운 이웃",
    "traffic_surge": "사용자 급증",
    "clock_jump": "시계 어긋남",
    "host_failure": "호스트 장애",
    "gc_thrash": "GC 과부하",
}
