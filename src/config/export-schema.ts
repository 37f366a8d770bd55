/** `metering.exports`: where usage goes besides the gateway’s own figures. */
import { z } from 'zod'
import { limits } from '../core/limits.ts'
import { type SecretRef, secretRef } from './secret-schema.ts'
import { httpUrl } from './target-schema.ts'

const headerName = z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/, 'must be the name of a header field')
const headers = z
  .record(headerName, z.union([z.string().max(4_096), secretRef]))
  .default({})
  .describe('Sent with every request; a value that is secret as a reference.')

const name = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9-]{0,63}$/, 'must be 1 to 64 letters, digits, hyphens')
  .describe('Its name in logs and metrics. How far it has come is kept under its name and destination.')

const cloudevents = z.strictObject({
  name,
  type: z.literal('cloudevents'),
  url: httpUrl.describe('Where CloudEvents are posted, for example `https://openmeter.cloud/api/v1/events`.'),
  token: secretRef.optional().describe('Sent as `Authorization: Bearer`.'),
  headers,
  batch: z
    .boolean()
    .default(true)
    .describe(
      'Many in a request (`application/cloudevents-batch+json`); otherwise one (`application/cloudevents+json`).',
    ),
  what: z.enum(['events', 'hours']).default('events').describe('Each usage event, or sums of an hour.'),
  source: z.string().min(1).max(1_024).default('toolgate').describe('`source` of each CloudEvent (a URI reference).'),
  eventType: z
    .string()
    .min(1)
    .max(256)
    .optional()
    .describe('`type` of each CloudEvent: `toolgate.invocation` for events, `toolgate.hour` for hours when left out.'),
  subject: z
    .enum(['tenant', 'principal'])
    .default('tenant')
    .describe('`subject` of each CloudEvent: the tenant, or `tenant/subject`.'),
})

const stripeName = z.string().min(1).max(100)
const stripe = z.strictObject({
  name,
  type: z.literal('stripe'),
  apiKey: secretRef.describe('A secret or restricted key that may write meter events.'),
  customers: z
    .record(z.string().min(1), z.string().regex(/^cus_[A-Za-z0-9_]{1,250}$/, 'must be a customer of Stripe, `cus_…`'))
    .describe('Stripe’s customer of each tenant. Usage of other tenants is not sent, counted and told.'),
  eventNames: z
    .strictObject({
      call: stripeName.default('toolgate_call'),
      search: stripeName.default('toolgate_search'),
      list: stripeName.default('toolgate_list'),
    })
    .prefault({})
    .describe('`event_name` of the meters.'),
  server: httpUrl.default('https://api.stripe.com').describe('Another address than Stripe’s own, for tests.'),
})

const otlp = z.strictObject({
  name,
  type: z.literal('otlp'),
  url: httpUrl.describe('Of an OTLP/HTTP receiver; `/v1/metrics` is added to an address without a path.'),
  token: secretRef.optional().describe('Sent as `Authorization: Bearer`.'),
  headers,
})

const file = z.strictObject({
  name,
  type: z.literal('file'),
  folder: z.string().min(1).describe('Made when it is not there; relative to the configuration.'),
  format: z.enum(['ndjson', 'parquet']).default('ndjson'),
  every: z
    .enum(['hour', 'day'])
    .default('hour')
    .describe('One file each; more where they would be large or come late.'),
})

export const exportsSchema = z
  .array(z.discriminatedUnion('type', [cloudevents, stripe, otlp, file]))
  .max(limits.exports)
  .refine((entries) => new Set(entries.map((entry) => entry.name)).size === entries.length, 'must have different names')
  .default([])
  .describe('Where usage is sent, at least once each, in order, nothing left out while a receiver is down.')

export type ExportConfig = z.infer<typeof exportsSchema>[number]

/** References of the exports to secrets, by the path of each in the file. */
export function exportReferences(entries: readonly ExportConfig[]): readonly (readonly [string, SecretRef])[] {
  return entries.flatMap((entry, index) => {
    const at = `metering.exports.${index}`
    const own: { readonly [key: string]: SecretRef | undefined } =
      entry.type === 'stripe' ? { apiKey: entry.apiKey } : entry.type === 'file' ? {} : { token: entry.token }
    const inHeaders = entry.type === 'cloudevents' || entry.type === 'otlp' ? entry.headers : {}
    return [
      ...Object.entries(own).flatMap(([key, ref]) => (ref === undefined ? [] : [[`${at}.${key}`, ref] as const])),
      ...Object.entries(inHeaders).flatMap(([key, value]) =>
        typeof value === 'string' ? [] : [[`${at}.headers.${key}`, value] as const],
      ),
    ]
  })
}
