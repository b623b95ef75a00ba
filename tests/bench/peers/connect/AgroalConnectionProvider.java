package org.hibernate.agroal.internal;

import org.hibernate.engine.jdbc.connections.internal.DriverManagerConnectionProvider;

/** In the place of the pool that the connector names and that cannot be had: Hibernate's own, which keeps its connections, too. */
public final class AgroalConnectionProvider extends DriverManagerConnectionProvider {
}
