/** A Lambda API that answers as a test says, and a gateway's way to it. */
import { Cancellation } from '../../../src/core/cancel.ts'
import { type GatewayError, toGatewayError } from '../../../src/core/errors.ts'
import type { Target } from '../../../src/core/model.ts'
import { Secret } from '../../../src/core/secret.ts'
import { sigv4, type SigV4Options } from '../../../src/credentials/sigv4.ts'
import { type LambdaOptions, type LambdaRoom, lambdaTransport } from '../../../src/transports/lambda.ts'
import type { Delivery, Transport } from '../../../src/transports/transport.ts'
import { awsRoom, type TestAwsRoom } from '../../aws/room.ts'
import { principal } from '../../support/oauth-room.ts'
import type { Answer } from '../../support/recorder.ts'

export const region = 'us-east-1'

export interface TestRoom extends Omit<TestAwsRoom, 'log'>, LambdaRoom {
  /** What was written to the log at debug, when that is on. */
  readonly lines: object[]
}

export function lambdaRoom(allow: readonly string[], debugs = false): TestRoom {
  const room = awsRoom(allow)
  const lines: object[] = []
  const { log } = room
  return Object.assign(room, {
    lines,
    log: { ...log, debugs, debug: (fields: object) => void lines.push(fields) },
    random: () => 0,
  })
}

export const targetAt = (origin: string, more: Partial<Target> = {}): Target => ({
  name: 'shop',
  kind: 'lambda',
  origin,
  basePath: '',
  timeoutMs: 5_000,
  headers: { set: new Map(), forwardRequest: [], forwardResponse: [] },
  ...more,
})

export const keyed = (room: LambdaRoom, more: Partial<SigV4Options> = {}) =>
  sigv4(
    {
      service: 'lambda',
      region,
      accessKeyId: new Secret('AKIDEXAMPLE'),
      secretAccessKey: new Secret('a-secret-access-key-of-forty-characters!'),
      ...more,
    },
    room,
  )

export const transportTo = (target: Target, room: LambdaRoom, more: Partial<LambdaOptions> = {}): Transport =>
  lambdaTransport(
    {
      target,
      function: 'orders',
      region,
      contract: 'agentcore',
      gateway: 'my-gateway',
      credential: keyed(room),
      ...more,
    },
    room,
  )

export const delivery = (more: Partial<Delivery> = {}): Delivery => ({
  caller: principal('alice'),
  name: 'shop___get_order_tool',
  operation: { id: 'get_order_tool', label: 'get_order_tool' },
  usageId: '0198-usage',
  messageId: 7,
  idempotent: false,
  capabilities: [],
  signal: new Cancellation(),
  ...more,
})

/** What it was refused with. */
export async function errorOf(work: Promise<unknown>): Promise<GatewayError> {
  try {
    await work
  } catch (error) {
    return toGatewayError(error)
  }
  throw new Error('it was not refused')
}

/** An error of the Lambda API. */
export const refusal =
  (status: number, name: string, members: object = {}, headers: { [name: string]: string } = {}): Answer =>
  (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json', 'x-amzn-errortype': name, ...headers }).end(
      JSON.stringify({
        Type: 'User',
        Message: `AWS’s own words on arn:aws:lambda:us-east-1:1:function:x`,
        ...members,
      }),
    )
  }

/** What a function answered. */
export const answered =
  (body: string, headers: { [name: string]: string } = {}): Answer =>
  (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'x-amzn-requestid': 'r-1', ...headers }).end(body)
  }

/** One after the other; the last one again and again. */
export function inTurn(...answers: readonly Answer[]): Answer {
  let next = 0
  return (...args) => answers[Math.min(next++, answers.length - 1)]?.(...args)
}
