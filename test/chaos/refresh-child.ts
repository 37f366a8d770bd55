/**
 * A gateway process that wants tokens, and may be stopped or killed on its way to one. Reads its orders as JSON from
 * the command line; prints `at STEP` when it gets there, and at the end what its calls came to.
 */
import { writeSync } from 'node:fs'
import { Secret } from '../../src/core/secret.ts'
import type { OAuthRoom } from '../../src/credentials/oauth/room.ts'
import { oauth2 } from '../../src/credentials/oauth2.ts'
import { sign } from '../../src/credentials/provider.ts'
import { createRoom, fastClock, optionsFor, outbound, principal, target } from '../support/oauth-room.ts'

export type Step = 'leased' | 'marked' | 'sent' | 'answered'

export interface Orders {
  readonly file: string
  readonly vaultKey: string
  readonly issuer: string
  readonly address: string
  readonly clientSecret: string
  readonly subject: string
  readonly owner: string
  readonly origin: number
  readonly factor: number
  readonly calls: number
  /** Where to be stopped or killed, the first time it is reached. */
  readonly step?: Step
  readonly signal?: 'SIGKILL' | 'SIGSTOP'
}

export interface Report {
  readonly tokens: readonly string[]
  readonly errors: readonly string[]
  readonly refreshes: number
}

/** The room, with a trap at one step of a refresh. */
function trapped(room: OAuthRoom, reach: (step: Step) => void): OAuthRoom {
  const { records, egress } = room
  return {
    ...room,
    records: {
      ...records,
      async lease(name, owner, ms) {
        const lease = await records.lease(name, owner, ms)
        if (lease !== undefined) reach('leased')
        return lease
      },
      async put(key, value, options) {
        const version = await records.put(key, value, options)
        reach('marked')
        return version
      },
    },
    egress: {
      ...egress,
      channel: (origin) => ({
        close: () => egress.channel(origin).close(),
        open: (request, options) => egress.channel(origin).open(request, options),
        async send(request, options) {
          const sending = egress.channel(origin).send(request, {
            ...options,
            onProgress: (phase) => {
              if (request.method === 'POST' && phase === 'sent') reach('sent')
            },
          })
          const response = await sending
          if (request.method === 'POST') reach('answered')
          return response
        },
      }),
    },
  }
}

async function run(orders: Orders): Promise<Report> {
  const room = createRoom({
    allow: [orders.address],
    beside: orders,
    owner: orders.owner,
    clock: fastClock(orders.origin, orders.factor),
  })
  let reached = false
  const ours = trapped(room, (step) => {
    if (reached || step !== orders.step || orders.signal === undefined) return
    reached = true
    writeSync(1, `at ${step}\n`)
    process.kill(process.pid, orders.signal)
  })
  const options = optionsFor({
    grant: 'authorizationCode',
    discoveryUrl: `${orders.issuer}/.well-known/openid-configuration`,
    clientSecret: new Secret(orders.clientSecret),
    scopes: ['read'],
  })
  // as after reloads of the configuration: several at once in a process
  const providers = Array.from({ length: 4 }, () => oauth2(options, ours))
  const who = principal(orders.subject)
  const results = await Promise.allSettled(
    Array.from({ length: orders.calls }, async (_, index) => {
      const provider = providers[index % providers.length] ?? oauth2(options, ours)
      return (await sign(outbound(), provider, who, target)).fingerprint ?? ''
    }),
  )
  await room.close()
  return {
    tokens: [...new Set(results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : [])))],
    errors: results.flatMap(({ status, ...rest }) =>
      status === 'rejected' && 'reason' in rest ? [String((rest.reason as { code?: unknown }).code)] : [],
    ),
    refreshes: room.events.filter(({ act, outcome }) => act === 'refresh' && outcome === 'ok').length,
  }
}

// timers of the gateway keep no process alive; a listening socket would
const alive = setInterval(() => undefined, 60_000)
writeSync(1, `done ${JSON.stringify(await run(JSON.parse(process.argv[2] ?? '{}') as Orders))}\n`)
clearInterval(alive)
