/** The web platform's parts that pure packages use and every runtime has; the packages know neither DOM nor Node. */
export {}

interface Encoder {
  encodeInto(text: string, target: Uint8Array): { readonly read: number; readonly written: number }
  encode(text?: string): Uint8Array<ArrayBuffer>
}
interface Decoder {
  decode(bytes?: Uint8Array, options?: { stream?: boolean }): string
}

declare global {
  var TextEncoder: { new (): Encoder }
  var TextDecoder: { new (label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean }): Decoder }
  interface AbortSignal {
    readonly aborted: boolean
    readonly reason: unknown
    addEventListener(type: 'abort', listener: () => void, options?: { once?: boolean }): void
    removeEventListener(type: 'abort', listener: () => void): void
    throwIfAborted(): void
  }
}
