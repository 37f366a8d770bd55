/**
 * Billable invocations as Stripe meter events (`POST /v1/billing/meter_events`): one for each hour, tenant and meter, the
 * value the units in it. Stripe takes one a request, and refuses an `identifier` it had in the last 24 hours or more.
 */
import type { InboundResponse } from '../../core/model.ts'
import type { Secret } from '../../core/secret.ts'
import type { Destination } from './destination.ts'
import { type HttpRoom, judge, postTo } from './http.ts'
import { type SumItem, sumsBy } from './item.ts'
import type { LedgerEvent } from './source.ts'

export interface StripeOptions {
  readonly apiKey: Secret
  /** Stripe’s ids of customers, by tenant. */
  readonly customers: ReadonlyMap<string, string>
  /** Names of Stripe’s meters. */
  readonly eventNames: { readonly [Meter in LedgerEvent['meter']]: string }
  /** Stripe’s own address, or another’s in tests. */
  readonly server: string
}

const isMeter = (text: string | undefined): text is LedgerEvent['meter'] =>
  text === 'call' || text === 'search' || text === 'list'

/** That Stripe has it already is as good as that it takes it: the first answer was lost. */
const isKnown = ({ status, body }: InboundResponse): boolean =>
  status === 400 && /duplicate_meter_event|event already exists with identifier/i.test(body.toString('utf8'))

export const stripe = (options: StripeOptions, room: HttpRoom): Destination<SumItem> => {
  const { apiKey, customers, eventNames, server } = options
  const url = `${server.replace(/\/+$/, '')}/v1/billing/meter_events`
  const post = postTo({ url, headers: new Map(), token: apiKey }, room)
  /** How often Stripe has given back an old failure of its own for a key; the identifier keeps it from counting twice. */
  let replays: { readonly key: string; readonly times: number } = { key: '', times: 0 }
  return {
    place: JSON.stringify(['stripe', url, eventNames]),
    // a meter event of nothing would say nothing
    shape: sumsBy(['tenant', 'meter'], ({ units }) => units > 0),
    itemsMax: 1,
    async send({ items: [item], signal }) {
      if (item === undefined) return { kind: 'taken' }
      const { sum, key } = item
      const tenant = sum.of.get('tenant') ?? ''
      const meter = sum.of.get('meter')
      const customer = customers.get(tenant)
      if (customer === undefined || !isMeter(meter)) return { kind: 'unassigned', tenant }
      const times = replays.key === key ? replays.times : 0
      const posted = await post({
        contentType: 'application/x-www-form-urlencoded',
        body: new URLSearchParams([
          ['event_name', eventNames[meter]],
          ['identifier', key],
          ['timestamp', String(sum.hour / 1000)],
          ['payload[stripe_customer_id]', customer],
          ['payload[value]', String(sum.units)],
        ]).toString(),
        headers: new Map([['idempotency-key', times === 0 ? key : `${key}-${times}`]]),
        signal,
      })
      if (posted.response === undefined) return posted.later
      if (isKnown(posted.response)) return { kind: 'taken' }
      const { status, headers } = posted.response
      // Stripe keeps an answer by its key, a 500 of its own included
      if (status >= 500 && headers.get('idempotent-replayed') === 'true') replays = { key, times: times + 1 }
      // 409: another request with this key is under way
      if (status === 409) return { kind: 'later', reason: posted.said }
      return judge(posted.response, posted.said, room.clock.now())
    },
  }
}
