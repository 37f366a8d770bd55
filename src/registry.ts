/** The two lists that a new kind of target or credential adds one line to. */
import { apiKey } from './credentials/api-key.ts'
import { basic } from './credentials/basic.ts'
import { oauth2 } from './credentials/oauth2.ts'
import { sigv4 } from './credentials/sigv4.ts'
import type { TargetAdapter } from './targets/adapter.ts'
import { lambda } from './targets/lambda.ts'
import { mcp } from './targets/mcp.ts'
import { openapi } from './targets/openapi.ts'
import { smithy } from './targets/smithy.ts'

export const adapters = { openapi, smithy, lambda, mcp } as const satisfies { readonly [kind: string]: TargetAdapter }

export const credentialKinds = { apiKey, basic, oauth2, sigv4 } as const
