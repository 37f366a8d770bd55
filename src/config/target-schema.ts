/** What the configuration says of one target. */
import { z } from 'zod'
import { limits } from '../core/limits.ts'
import type { Json } from '../core/model.ts'
import { factForms, readFunction } from '../targets/lambda/function.ts'
import { selectFault } from '../targets/openapi/select.ts'

/** Connection headers, and those that carry credentials, are not the operator's to set or forward. */
const ownHeader =
  /^(?:host|connection|content-length|transfer-encoding|te|trailer|upgrade|keep-alive|expect|authorization|cookie|proxy-.*)$/i
/** What callers prove themselves to this gateway with, or speak to it about: none of a target's business. */
const callersOwn = /^(?:x-api-key|x-amz-.*|mcp-.*)$/i
const headerName = z.string().regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$/, 'must be a header name')
const freeHeader = headerName.refine((name) => !ownHeader.test(name), 'this header is the gateway’s own')

export const httpUrl = z.string().refine((text) => {
  if (!URL.canParse(text)) return false
  const url = new URL(text)
  return (
    (url.protocol === 'https:' || url.protocol === 'http:') &&
    url.username === '' &&
    url.hash === '' &&
    url.search === ''
  )
}, 'must be an absolute http(s) URL without user, query and fragment')

export const targetName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9-]{0,63}$/, 'must be 1 to 64 letters, digits and hyphens, and begin with no hyphen')

const select = z
  .union([z.string().min(1).max(2_048), z.array(z.string().max(512)).min(1).max(64)])
  .superRefine((value, context) => {
    const fault = selectFault(value)
    if (fault !== undefined) context.addIssue({ code: 'custom', message: fault })
  })
  .describe('A JMESPath expression, or JSON Pointers of the members to keep.')

const response = z
  .strictObject({
    select: select.optional(),
    maxBytes: z
      .int()
      .min(256)
      .max(limits.resultTextChars)
      .optional()
      .describe('Bytes of text passed on at most; a list is cut between its items.'),
  })
  .describe('What of an answer is passed on.')

const mediaType = z
  .string()
  .regex(/^[\w!#$&^.+-]+\/[\w!#$&^.+-]+$/, 'must be a media type')
  .describe('The media type to send where an operation takes several.')

/** The file is JSON, so whatever stands there is. */
const json = z.unknown().transform((value) => value as Json | undefined)

const hint = z.boolean().optional()

const override = z.strictObject({
  name: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,64}$/, 'must be 1 to 64 of A-Z a-z 0-9 _ -')
    .optional()
    .describe('The whole tool name.'),
  title: z.string().min(1).max(limits.titleChars).optional(),
  description: z.string().min(1).max(8_192).optional(),
  annotations: z
    .strictObject({ readOnlyHint: hint, destructiveHint: hint, idempotentHint: hint, openWorldHint: hint })
    .optional(),
  arguments: z
    .record(
      z.string().min(1),
      z
        .strictObject({
          description: z.string().min(1).max(2_048).optional(),
          default: json.optional().describe('Sent when the caller leaves the argument out.'),
          value: json.optional().describe('Always sent; callers do not see the argument.'),
        })
        .refine(({ value, ...shown }) => value === undefined || Object.keys(shown).length === 0, {
          message: 'a fixed `value` is not shown, so nothing else can be said of it',
        }),
    )
    .optional()
    .describe('By argument, or by JSON Pointer of a member of one, such as `/body/account`.'),
  contentType: mediaType.optional(),
  response: response.optional(),
})

export const awsRegion = z.string().regex(factForms.region, 'must be a region such as us-east-1')

const lambda = z
  .strictObject({
    function: z
      .string()
      .refine((text) => readFunction(text) !== undefined, 'must be the name or the ARN of a function')
      .optional()
      .describe('Name or ARN, with a version or alias where one is meant; left out where the file of tools names it.'),
    tools: z.string().min(1).optional().describe('Path of the tool list; left out for a dropped `NAME.lambda.json`.'),
    region: awsRegion.optional().describe('That of the ARN, or of the AWS environment, when left out.'),
    endpoint: httpUrl
      .optional()
      .describe('In place of AWS Lambda’s own address for the region; for a tool list, `server` is as good.'),
    qualifier: z.string().regex(factForms.qualifier, 'must be a version or an alias').optional(),
    roleArn: z
      .string()
      .regex(factForms.roleArn, 'must be the ARN of a role')
      .optional()
      .describe('The role that is assumed with what AWS’s default chain finds.'),
    contract: z
      .enum(['agentcore', 'apiGateway'])
      .optional()
      .describe(
        'How the function is spoken to: `agentcore` (the event is the arguments) for a tool list, `apiGateway` (payload format 2.0) for an OpenAPI description.',
      ),
  })
  .describe('A Lambda function as the target, or behind an OpenAPI description.')

const mcp = z
  .strictObject({
    url: httpUrl.describe('The server’s endpoint for streamable HTTP.'),
    mode: z
      .enum(['cached', 'live'])
      .default('cached')
      .describe('Whether its lists are kept and refreshed, or asked for each caller with that caller’s credential.'),
    refreshMs: z
      .int()
      .min(limits.mcpRefreshMsMin)
      .max(24 * 60 * 60_000)
      .default(limits.mcpRefreshMs)
      .describe('How often the lists are asked for anew, besides when the server says that they changed.'),
    tools: z.string().min(1).optional().describe('Path of a `tools/list` answer, in place of asking the server.'),
    resourcePriority: z
      .int()
      .min(0)
      .max(1_000)
      .default(1_000)
      .describe('Which target a resource is read from where several have its URI: that with the lowest number.'),
  })
  .describe('An MCP server as the target.')

const kinds = z.strictObject({
  openapi: z.string().min(1).optional().describe('Path of the description; left out for a dropped file.'),
  smithy: z.string().min(1).optional().describe('Path of a Smithy model (JSON AST); left out for a dropped file.'),
  lambda: lambda.optional(),
  mcp: mcp.optional(),
})

export const targetSchema = kinds
  .extend({
    overlay: z
      .union([z.string().min(1), z.array(z.string().min(1)).max(16)])
      .default([])
      .transform((paths) => [paths].flat())
      .describe('Paths of OpenAPI Overlay documents, applied in order before the import.'),
    server: httpUrl.optional().describe('Replaces every server that the description names.'),
    credential: z.string().min(1).optional().describe('Name of one of `credentials`.'),
    tools: z
      .strictObject({
        include: z
          .array(z.string().min(1))
          .default([])
          .describe('`METHOD /path` patterns, operation ids or `tag:NAME`; all when empty.'),
        exclude: z.array(z.string().min(1)).default([]),
        override: z.record(z.string(), override).default({}).describe('By operation id or `METHOD /path`.'),
      })
      .prefault({}),
    headers: z
      .strictObject({
        set: z.record(freeHeader, z.string().regex(/^[\t\x20-\x7e]*$/, 'must be printable ASCII')).default({}),
        forwardRequest: z
          .array(
            freeHeader.refine((name) => !callersOwn.test(name), 'this header is between the caller and the gateway'),
          )
          .default([])
          .describe('Headers of the caller’s request that go on to the target.'),
        forwardResponse: z
          .array(headerName)
          .default([])
          .describe('Headers of the answer that come back in the result’s `_meta`.'),
      })
      .prefault({}),
    serverVariables: z.record(z.string(), z.string()).default({}),
    serverArguments: z
      .array(z.string().min(1))
      .default([])
      .describe('Enumerated server variables that callers choose, as arguments.'),
    contentType: mediaType.optional(),
    descriptionChars: z
      .int()
      .min(64)
      .max(8_192)
      .default(limits.descriptionChars)
      .describe('Characters that a tool’s description may have.'),
    response: response.optional(),
    pin: z
      .boolean()
      .default(false)
      .describe('Hold changed tools until `toolgate approve` takes them; the tools approved last go on serving.'),
    timeoutMs: z.int().min(100).max(limits.targetTimeoutMsMax).default(limits.targetTimeoutMs),
  })
  .superRefine(({ openapi, smithy, lambda, mcp, pin }, context) => {
    if (pin && mcp?.mode === 'live' && mcp.tools === undefined)
      context.addIssue({
        code: 'custom',
        path: ['pin'],
        message: 'lists that each caller gets for itself cannot be approved: `pin` does not go with mode live',
      })
    const given = Object.entries({ openapi, smithy, mcp, 'lambda.tools': lambda?.tools }).filter(
      ([, value]) => value !== undefined,
    )
    if (given.length > 1)
      context.addIssue({
        code: 'custom',
        message: `a target has one description, not ${given.map(([name]) => name).join(' and ')}`,
      })
    if (lambda !== undefined && (mcp !== undefined || smithy !== undefined))
      context.addIssue({
        code: 'custom',
        path: ['lambda'],
        message: 'a function is behind a tool list or an OpenAPI description',
      })
  })

/** Path of the description that the configuration names; none for a dropped file, or a server that is asked. */
export const descriptionOf = ({ openapi, smithy, lambda, mcp }: TargetConfig): string | undefined =>
  openapi ?? smithy ?? lambda?.tools ?? mcp?.tools

export type TargetConfig = z.infer<typeof targetSchema>
