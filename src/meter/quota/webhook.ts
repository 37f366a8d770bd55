/** A webhook: one JSON message by POST, through the way out. */
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Egress } from '../../egress/fetch.ts'
import type { SendWebhook } from './warnings.ts'

/** `headers` go along, with lower-case names. What it makes rejects with the errors of the way out. */
export const webhookTo =
  (egress: () => Pick<Egress, 'check' | 'channel'>, url: string, headers: ReadonlyMap<string, string>): SendWebhook =>
  async (body, id) => {
    const { origin } = egress().check(url)
    const all = new Map([...headers, ['content-type', 'application/cloudevents+json'], ['idempotency-key', id]])
    const { status } = await egress()
      .channel(origin)
      .send(
        { method: 'POST', url, headers: all, body },
        { timeoutMs: limits.quotaHookMs, bodyBytes: limits.quotaHookBytes, repeatable: true },
      )
    if (status < 200 || status > 299)
      throw new GatewayError('target_bad_answer', { cause: new Error(`The webhook answered with status ${status}.`) })
  }
