// Loaded before the conformance suite, which cannot be given a token: adds it to each request to this machine.
import { subscribe } from 'node:diagnostics_channel';

subscribe('undici:request:create', ({ request }) => {
  const to = new URL(request.origin).hostname;
  if (process.env.MCP_TOKEN && to === '127.0.0.1') {
    request.addHeader('authorization', `Bearer ${process.env.MCP_TOKEN}`);
  }
});
