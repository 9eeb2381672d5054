import { Metrics, type MetricsSource } from "./metrics.js";
import { metricsRoutes } from "./transport/http.js";
import { Listener } from "./transport/listener.js";

/** The port at which the metrics of a node are served, at `/metrics`. */
export class MetricsPort {
  readonly port: number;
  readonly #listener: Listener;
  readonly #metrics: Metrics;

  private constructor(port: number, listener: Listener, metrics: Metrics) {
    this.port = port;
    this.#listener = listener;
    this.#metrics = metrics;
  }

  /** Rejects with `ListenError` where the port cannot be had. */
  static async open(
    address: { readonly host: string; readonly port: number },
    source: MetricsSource,
    onError: (error: unknown) => void,
  ): Promise<MetricsPort> {
    const listener = await Listener.create();
    const metrics = new Metrics(source);
    listener.serve(metricsRoutes(metrics), onError);
    try {
      return new MetricsPort(await listener.listen(address.host, address.port, "metricsPort"), listener, metrics);
    } catch (error) {
      metrics.close();
      throw error;
    }
  }

  /** Ends it at once: a scrape under way is cut. */
  close(): void {
    this.#listener.stop();
    this.#listener.cut();
    this.#metrics.close();
  }
}
