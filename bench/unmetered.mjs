/** `node --import ./bench/unmetered.mjs src/main.ts`: a gateway that meters nothing, to measure metering against. */
import { registerHooks } from 'node:module'

registerHooks({
  resolve(specifier, context, next) {
    const found = next(specifier, context)
    return found.url.endsWith('/src/meter/meter.ts')
      ? { ...found, url: new URL('./no-meter.ts', import.meta.url).href }
      : found
  },
})
